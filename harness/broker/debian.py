"""Debian's and Ubuntu's packages: the machine's own archive, and fetching packages without root and without installing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.broker.apt_sources import sources
from harness.errors import BackendUnavailableError

APT_TIMEOUT_S = 600.0
_RANKS = ("stable", "oldstable", "testing", "unstable", "sid")
"""What a suite may be called instead of by its name."""
_DISTRIBUTIONS = ("debian", "ubuntu", "ubuntu-ports")
KEYRINGS = Path("/usr/share/keyrings")
_MIRROR_LIST = "mirror+file"
"""A source that names a file with the addresses of mirrors, one a line (apt-transport-mirror(1))."""


def last_line(text: str) -> str:
    """Return the last line that says something: of a tool's output, the telling one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _reason(text: str) -> str:
    """Return the last two lines that say something: dpkg-deb's last one says only that its tar failed."""
    return "; ".join([line.strip() for line in text.splitlines() if line.strip()][-2:]) or "no reason given"


def codename() -> str:
    """Return the name of this machine's suite, e.g. bookworm. Raises BackendUnavailableError off Debian and Ubuntu."""
    release = _os_release()
    # Distributions made of another one name its suite beside their own.
    for key in ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME"):
        if release.get(key):
            return release[key]
    raise BackendUnavailableError(
        "/etc/os-release names no suite of Debian or Ubuntu; install RabbitMQ 3.8 or newer by hand, or start a Docker engine"
    )


def family() -> frozenset[str]:
    """Return what this machine's distribution is called and what it is made of: ubuntu and debian on Ubuntu, nothing if unknown."""
    release = _os_release()
    return frozenset({release.get("ID", ""), *release.get("ID_LIKE", "").split()} - {""})


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def mirror(*, configuration: Path = Path("/etc/apt"), suite: str | None = None) -> str:
    """Return the archive that this machine's apt configuration names for its distribution, without a slash at the end.

    Archives of updates, of security fixes and of most third parties have other suites than `suite`, which is the machine's
    own unless given, or other components than main; where several are left, one that is called as the distribution is goes
    first. Raises BackendUnavailableError.
    """
    suite = suite or codename()
    found = [
        address
        for source in sources(configuration)
        if source.suite in (suite, *_RANKS) and "main" in source.components and (address := _address(source.address))
    ]
    found.sort(key=lambda address: urlsplit(address).path.rpartition("/")[2] not in _DISTRIBUTIONS)
    if not found:
        raise BackendUnavailableError(
            f"apt's configuration in {configuration} names no archive with the suite {suite}, component main; "
            "add the distribution's own to /etc/apt/sources.list"
        )
    return found[0]


def _address(source: str) -> str:
    if source.startswith(f"{_MIRROR_LIST}:"):
        try:
            listed = Path(unquote(urlsplit(source).path)).read_text(encoding="utf-8").split()
        except OSError:
            return ""
        source = next((word for word in listed if word.startswith(("http://", "https://"))), "")
    return source.rstrip("/") if source.startswith(("http://", "https://", "file:")) else ""


def fetch(
    packages: Sequence[str], into: Path, *, suite: str | None = None, keep: Sequence[str] = ("*",)
) -> tuple[str, ...]:
    """Download packages and what they depend on, and unpack them into a folder. Needs no root, installs nothing.

    `suite` is another one than the machine's, e.g. trixie; `keep` are patterns of the package names to keep. Returns the
    names of the packages that were unpacked. Raises BackendUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="chaos-apt-") as scratch:
        apt = _PrivateApt(Path(scratch), suite or codename())
        apt.get("update")
        # Against an empty list of installed packages every dependency is named.
        lines = apt.get("install", "-y", "--no-install-recommends", "--print-uris", *packages).splitlines()
        names = [line.split()[1].partition("_")[0] for line in lines if line.startswith("'")]
        chosen = tuple(name for name in names if any(fnmatch(name, pattern) for pattern in keep))
        if not chosen:
            raise BackendUnavailableError(
                f"the archive has no packages {', '.join(packages)} for {suite or codename()}"
            )
        apt.get("download", *chosen)
        into.mkdir(parents=True, exist_ok=True)
        for archive in sorted(Path(scratch).glob("*.deb")):
            _run("dpkg-deb", "--extract", str(archive), str(into))
    return chosen


class _PrivateApt:
    """apt with lists, cache, status and source of its own: an empty machine of the wanted suite.

    The machine's settings (a proxy, say) hold, all but its hooks, which would touch the machine: they refresh
    desktop catalogues and empty the system's cache.
    """

    def __init__(self, scratch: Path, suite: str) -> None:
        self._scratch = scratch
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/none"):
            (scratch / folder).mkdir(parents=True)
        (scratch / "status").touch()
        ubuntu = "UBUNTU_CODENAME" in _os_release()
        keyrings = sorted(KEYRINGS.glob(f"{'ubuntu' if ubuntu else 'debian'}-archive-keyring.[gp][pg][gp]"))
        # Where there is none, apt's own decides what is trusted.
        signed = f"[signed-by={keyrings[0]}] " if keyrings else ""
        components = "main universe" if ubuntu else "main"
        (scratch / "etc/sources.list").write_text(f"deb {signed}{mirror()} {suite} {components}\n", encoding="utf-8")
        own = {
            "Dir::State": scratch / "state",
            "Dir::State::lists": scratch / "state/lists",
            "Dir::State::status": scratch / "status",
            "Dir::Cache": scratch / "cache",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": scratch / "etc/none",
            "Dir::Etc::sourcelist": scratch / "etc/sources.list",
            "Dir::Etc::sourceparts": scratch / "etc/none",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": scratch / "etc/none",
            # The scratch folder is this user's alone; apt as root would read it as _apt.
            "APT::Sandbox::User": "root",
            "Acquire::Retries": 3,
            "Acquire::Languages": "none",
        }
        machine = [
            line
            for line in _run("apt-config", "dump").splitlines()
            if not re.match(r"(Dir|Binary|CommandLine)\b|[^ ]*(Invoke|Pre-Install-Pkgs|IndexTargets)", line)
        ]
        lines = [*machine, *(f'{key} "{value}";' for key, value in own.items())]
        (scratch / "etc/apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def get(self, *arguments: str) -> str:
        """Run apt-get."""
        return _run("apt-get", *arguments, cwd=self._scratch, configuration=self._scratch / "etc/apt.conf")


def _run(program: str, *arguments: str, cwd: Path | None = None, configuration: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    if configuration is not None:
        environment["APT_CONFIG"] = str(configuration)
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise BackendUnavailableError(
            f"this system has no {program}: packages can be fetched on Debian and Ubuntu only; install RabbitMQ 3.8 or newer "
            "by hand, or start a Docker engine"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BackendUnavailableError(
            f"{program} {arguments[0]} was not done after {APT_TIMEOUT_S:g} s; is the package archive reachable?"
        ) from error
    if done.returncode != 0:
        raise BackendUnavailableError(f"{program} {arguments[0]} failed: {_reason(done.stderr or done.stdout)}")
    return done.stdout
