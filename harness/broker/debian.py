"""Debian's and Ubuntu's packages: the machine's own mirror, and fetching packages without root and without installing."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from harness.errors import BackendUnavailableError

SOURCES = Path("/etc/apt")
KEYRINGS = "/usr/share/keyrings"
_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$")


def last_line(text: str) -> str:
    """Return the last line that says something: of a tool's output, the telling one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def mirror() -> str:
    """Return the archive that this machine's apt configuration names for its distribution. Raises BackendUnavailableError."""
    for address, suites, components in _sources(SOURCES):
        distribution = "main" in components.split()
        if (
            distribution
            and address.startswith(("http", "file"))
            and not re.search(r"-security|/security", f"{address} {suites}")
        ):
            return address
    raise BackendUnavailableError(
        f"no archive found in the apt configuration below {SOURCES}; is this Debian or Ubuntu?"
    )


def _sources(directory: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (address, suites, components) of every binary package source: the distribution's own files first."""
    files = [directory / "sources.list", *sorted(directory.glob("sources.list.d/*"))]
    files.sort(key=lambda path: path.stem not in ("sources", "debian", "ubuntu"))
    for path in files:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                fields = dict(re.findall(r"^(\S+):[ \t]*(.*)$", stanza, flags=re.MULTILINE))
                if "deb" in fields.get("Types", "").split() and fields.get("URIs"):
                    yield fields["URIs"].split()[0], fields.get("Suites", ""), fields.get("Components", "")
        else:
            for line in text.splitlines():
                if match := _ONE_LINE.match(line.strip()):
                    yield match[1], match[2], match[3]


def fetch(packages: Sequence[str], into: Path, *, suite: str | None = None, keep: Sequence[str] = ("*",)) -> None:
    """Download packages and what they depend on, and unpack them into a folder. Needs no root, installs nothing.

    `suite` is another one than the machine's, e.g. trixie; `keep` are patterns of the package names to keep.
    Raises BackendUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-apt-") as scratch:
        apt = _PrivateApt(Path(scratch), suite)
        apt.run("apt-get", "update")
        uris = apt.run("apt-get", "install", "-y", "--no-install-recommends", "--print-uris", *packages)
        names = [line.split()[1].split("_")[0] for line in uris.splitlines() if line.startswith("'")]
        chosen = [name for name in names if any(fnmatch(name, pattern) for pattern in keep)]
        apt.run("apt-get", "download", *chosen)
        into.mkdir(parents=True, exist_ok=True)
        for archive in sorted(Path(scratch).glob("*.deb")):
            apt.run("dpkg", "-x", str(archive), str(into))


class _PrivateApt:
    """apt with lists, cache and status of its own: an empty machine of the wanted suite."""

    def __init__(self, scratch: Path, suite: str | None) -> None:
        self._scratch = scratch
        for folder in ("state/lists/partial", "cache/archives/partial", "sources.d"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "status").touch()
        options = {
            "Dir::State": scratch / "state",
            "Dir::State::Lists": scratch / "state/lists",
            "Dir::State::status": scratch / "status",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "",
            "Debug::NoLocking": "true",
        }
        if suite is not None:
            sources = scratch / "sources.list"
            sources.write_text(f"deb [signed-by={_keyring()}] {mirror()} {suite} main\n", encoding="utf-8")
            options |= {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": scratch / "sources.d"}
        self._options = [argument for key, value in options.items() for argument in ("-o", f"{key}={value}")]

    def run(self, program: str, *arguments: str) -> str:
        options = self._options if program.startswith("apt") else []
        try:
            done = subprocess.run(
                [program, *options, *arguments],
                cwd=self._scratch,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise BackendUnavailableError(f"{program} could not be run to the end: {error}") from error
        if done.returncode != 0:
            raise BackendUnavailableError(f"{program} {arguments[0]} failed: {last_line(done.stderr or done.stdout)}")
        return done.stdout


def _keyring() -> Path:
    for name in ("debian-archive-keyring.gpg", "ubuntu-archive-keyring.gpg", "debian-archive-keyring.pgp"):
        path = Path(KEYRINGS) / name
        if path.exists():
            return path
    raise BackendUnavailableError(f"no archive keyring in {KEYRINGS}; install debian-archive-keyring")
