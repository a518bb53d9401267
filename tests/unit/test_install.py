"""Finding a RabbitMQ: the system's own first, then the newest of the unpacked ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.broker import install
from harness.broker.install import Installation, find_installation, installations
from harness.errors import BackendUnavailableError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it."""
    monkeypatch.setenv("CHAOS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(install, "SYSTEM_HOMES", tmp_path / "usr/lib/rabbitmq/lib")
    return tmp_path / "cache"


def put(root: Path, version: str, *, plugin: str = "rabbit-{}", otp: str = "25.2.3") -> Path:
    """Lay out an installation as the packages do, with empty programs; returns RabbitMQ's own folder."""
    home = root / f"usr/lib/rabbitmq/lib/rabbitmq_server-{version}"
    erlang = root / "usr/lib/erlang"
    for path in (
        home / "sbin/rabbitmq-server",
        home / "plugins" / plugin.format(version) / "x",
        erlang / "bin/erl",
        erlang / "erts-9.3/bin/epmd",
        erlang / "erts-13.1/bin/epmd",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    release = erlang / "releases" / otp.partition(".")[0]
    release.mkdir(parents=True)
    (release / "OTP_VERSION").write_text(f"{otp}\n")
    return home


def put_system(tmp_path: Path, version: str) -> Path:
    home = put(tmp_path, version)
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin/erl").symlink_to(tmp_path / "usr/lib/erlang/bin/erl")
    return home


@pytest.fixture(autouse=True)
def _unpacked_as_on_a_system(monkeypatch: pytest.MonkeyPatch) -> None:
    real = install._unpacked

    def moved(root: Path, suite: str) -> Installation | None:
        with monkeypatch.context() as patch:
            patch.setattr(install, "SYSTEM_HOMES", Path("/usr/lib/rabbitmq/lib"))
            return real(root, suite)

    monkeypatch.setattr(install, "_unpacked", moved)


def test_nothing_is_found_where_nothing_is() -> None:
    assert find_installation() is None
    assert installations() == ()


def test_the_systems_own_goes_first(tmp_path: Path, cache: Path) -> None:
    home = put_system(tmp_path, "3.10.8")
    put(cache / "rabbitmq-trixie", "4.0.5")
    found = find_installation()
    assert found == Installation(home, tmp_path / "usr/lib/erlang", "3.10.8", "")


def test_the_newest_unpacked_one_goes_next_by_number_and_not_by_letter(cache: Path) -> None:
    put(cache / "rabbitmq-bullseye", "3.8.9")
    put(cache / "rabbitmq-bookworm", "3.10.8")
    assert [(found.version, found.suite) for found in installations()] == [
        ("3.10.8", "bookworm"),
        ("3.8.9", "bullseye"),
    ]


def test_a_version_can_be_asked_for_by_its_first_numbers(tmp_path: Path, cache: Path) -> None:
    put_system(tmp_path, "3.10.8")
    put(cache / "rabbitmq-trixie", "4.0.5")
    put(cache / "rabbitmq-bullseye", "3.8.9")
    found = {wanted: one.version for wanted in ("4", "3.8", "3", "3.1", "4.0.5") if (one := find_installation(wanted))}
    assert found == {"4": "4.0.5", "3.8": "3.8.9", "3": "3.10.8", "4.0.5": "4.0.5"}


def test_an_older_one_has_its_plugins_as_archives(cache: Path) -> None:
    put(cache / "rabbitmq-bullseye", "3.8.9", plugin="rabbit-{}.ez")
    assert [found.version for found in installations()] == ["3.8.9"]


@pytest.mark.parametrize("part", ["sbin/rabbitmq-server", "plugins/rabbit-4.0.5/x"])
def test_what_is_not_whole_is_none(cache: Path, part: str) -> None:
    path = put(cache / "rabbitmq-trixie", "4.0.5") / part
    path.unlink()
    if part.startswith("plugins"):
        path.parent.rmdir()
    assert installations() == ()


def test_a_system_rabbitmq_without_erlang_is_none(tmp_path: Path) -> None:
    put_system(tmp_path, "3.10.8")
    (tmp_path / "bin/erl").unlink()
    assert installations() == ()


def test_a_home_on_the_path_is_found(tmp_path: Path) -> None:
    home = put_system(tmp_path, "3.13.1").rename(tmp_path / "somewhere")
    (tmp_path / "bin/rabbitmq-server").symlink_to(home / "sbin/rabbitmq-server")
    assert [found.home for found in installations()] == [home]


def test_it_tells_its_programs_and_versions(cache: Path) -> None:
    home = put(cache / "rabbitmq-trixie", "4.0.5", otp="27.3.4.1")
    (found,) = installations()
    assert found.erlang_version == "27.3.4.1"
    assert found.epmd == cache / "rabbitmq-trixie/usr/lib/erlang/erts-13.1/bin/epmd"
    assert found.environment["PATH"].split(":")[0] == str(found.erlang / "bin")
    assert found.server == home / "sbin/rabbitmq-server"


def test_a_plugin_is_its_own_or_one_that_was_added(cache: Path) -> None:
    home = put(cache / "rabbitmq-trixie", "4.0.5")
    (home / "plugins/rabbitmq_mqtt-4.0.5").mkdir()
    added = home.parent.parent / "plugins"
    added.mkdir()
    (added / "rabbitmq_delayed_message_exchange-4.0.2.ez").touch()
    (found,) = installations()
    names = ("rabbitmq_mqtt", "rabbitmq_delayed_message_exchange", "rabbitmq", "rabbitmq_mqt", "rabbitmq_nothing")
    assert [name for name in names if found.has_plugin(name)] == ["rabbitmq_mqtt", "rabbitmq_delayed_message_exchange"]


def test_nothing_is_installed_where_it_is_there(tmp_path: Path) -> None:
    put_system(tmp_path, "3.10.8")
    said: list[str] = []
    assert install.install(said.append) == find_installation()
    assert said == []


def test_another_system_is_told_what_to_install() -> None:
    with pytest.raises(BackendUnavailableError, match=r"install RabbitMQ 3\.8 or newer with Erlang"):
        install.install(print)


def test_a_folder_that_the_scripts_cannot_run_from_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / "bin" / name).touch(mode=0o755)
    monkeypatch.setenv("CHAOS_CACHE_DIR", str(tmp_path / "with space"))
    with pytest.raises(BackendUnavailableError, match="name a folder without spaces in CHAOS_CACHE_DIR"):
        install.install(print, suite="trixie")
