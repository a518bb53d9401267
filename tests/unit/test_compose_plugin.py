"""Installing the compose plugin: only where it is missing, only where Debian's runs, and never half."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.broker import compose_plugin, debian
from harness.errors import BackendUnavailableError

Package = Callable[[str], None]


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it goes on a machine without Docker's programs."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(debian, "family", lambda: frozenset({"debian"}))
    return tmp_path / "docker" / "cli-plugins" / "docker-compose"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Package:
    """Have Debian's package hold a program of these lines."""
    shell = shutil.which("sh", path="/bin:/usr/bin")

    def hold(script: str) -> None:
        def fetch(packages: list[str], into: Path, *, suite: str, keep: tuple[str, ...]) -> None:
            assert (packages, suite, keep) == (["docker-compose"], "trixie", ("docker-compose",))
            program = into / "usr/libexec/docker/cli-plugins/docker-compose"
            program.parent.mkdir(parents=True)
            program.write_text(f"#!{shell}\n{script}\n")
            program.chmod(0o755)

        monkeypatch.setattr(debian, "fetch", fetch)

    return hold


def test_it_is_unpacked_into_the_users_docker_configuration(package: Package, plugin: Path) -> None:
    package('[ "$1" = version ] && echo 2.26.1')
    said: list[str] = []
    assert compose_plugin.install(said.append) == plugin
    assert plugin.stat().st_mode & 0o111
    assert [path.name for path in plugin.parent.iterdir()] == ["docker-compose"]
    assert str(plugin) in said[0]


def test_one_that_does_not_run_here_is_not_put_there(package: Package, plugin: Path) -> None:
    package("echo 'version GLIBC_2.34 not found' >&2; exit 1")
    with pytest.raises(BackendUnavailableError, match=r"does not run here \(version GLIBC_2\.34 not found\)"):
        compose_plugin.install(lambda _: None)
    assert not plugin.exists()


def test_one_that_is_there_is_kept(tmp_path: Path) -> None:
    there = tmp_path / "bin" / "docker-compose"
    there.parent.mkdir()
    there.write_text(f"#!{shutil.which('sh', path='/bin:/usr/bin')}\necho 2.40.0\n")
    there.chmod(0o755)
    said: list[str] = []
    assert compose_plugin.install(said.append) == there
    assert said == []


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ({"ubuntu", "debian"}, "apt-get install docker-compose-v2"),
        ({"fedora"}, "docker-compose-plugin"),
        (set(), "Debian only"),
    ],
)
def test_elsewhere_it_says_what_to_install(family: set[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "family", lambda: frozenset(family))
    with pytest.raises(BackendUnavailableError, match=said):
        compose_plugin.install(lambda _: None)
