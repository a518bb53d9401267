"""The archive that apt's configuration names; made-up addresses, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.broker import debian
from harness.errors import BackendUnavailableError

SECURITY = "deb http://security.example/debian-security bookworm-security main\n"
UPDATES = "deb http://updates.example/debian bookworm-updates main\n"
THIRD_PARTY = "deb http://vendor.example/apt bookworm main\ndeb http://tools.example/linux/debian bookworm stable\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def archive(etc: Path) -> str:
    return debian.mirror(configuration=etc, suite="bookworm")


def test_the_one_line_format_is_read(etc: Path) -> None:
    (etc / "sources.list").write_text(
        f"# deb http://old.example/debian bookworm main\n{SECURITY}{UPDATES}"
        "deb-src http://sources.example/debian bookworm main\n"
        "deb [arch=amd64,arm64 trusted=yes] http://archive.example/debian/ bookworm main contrib # ours\n"
    )
    assert archive(etc) == "http://archive.example/debian"


def test_the_format_of_stanzas_is_read(etc: Path) -> None:
    (etc / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://security.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb deb-src\n# a comment in the middle\nURIs:\n http://archive.example/debian/\n"
        " http://second.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
    )
    assert archive(etc) == "http://archive.example/debian"


def test_third_parties_are_passed_over(etc: Path) -> None:
    (etc / "sources.list").write_text(f"{THIRD_PARTY}deb http://archive.example/debian bookworm main\n")
    (etc / "sources.list.d" / "aaa.list").write_text(THIRD_PARTY)
    assert archive(etc) == "http://archive.example/debian"


def test_a_suite_may_be_named_by_its_rank(etc: Path) -> None:
    (etc / "sources.list").write_text("deb http://archive.example/debian stable main\n")
    assert archive(etc) == "http://archive.example/debian"


def test_a_list_of_mirrors_gives_its_first(etc: Path) -> None:
    mirrors = etc / "mirrors.txt"
    mirrors.write_text("http://first.example/ubuntu/\tpriority:1\nhttp://second.example/ubuntu/\tpriority:2\n")
    (etc / "sources.list").write_text(f"deb mirror+file:{mirrors} bookworm main\n")
    assert archive(etc) == "http://first.example/ubuntu"


@pytest.mark.parametrize("text", ["", SECURITY + UPDATES, "deb cdrom:[Debian]/ bookworm main\n"])
def test_a_configuration_without_the_archive_says_so(etc: Path, text: str) -> None:
    (etc / "sources.list").write_text(text)
    with pytest.raises(BackendUnavailableError, match="names no archive with the suite bookworm"):
        archive(etc)


def test_the_last_line_that_says_something_is_the_telling_one() -> None:
    assert debian.last_line("Reading lists\nE: Unable to locate package x\n\n") == "E: Unable to locate package x"
    assert debian.last_line(" \n") == "no reason given"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm\n", "bookworm"),
        ("ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n", "noble"),
        ("ID=linuxmint\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n", "bookworm"),
    ],
)
def test_the_machines_suite_is_that_of_its_packages(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = dict(line.split("=") for line in text.splitlines())
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: fields)
    assert debian.codename() == name


def test_another_system_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "fedora"})
    with pytest.raises(
        BackendUnavailableError, match=r"install RabbitMQ 3\.8 or newer by hand, or start a Docker engine"
    ):
        debian.codename()


def test_a_system_without_apt_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(debian, "mirror", lambda: "http://archive.example/debian")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailableError, match="packages can be fetched on Debian and Ubuntu only"):
        debian.fetch(["rabbitmq-server"], tmp_path / "root")
