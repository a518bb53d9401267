"""A RabbitMQ for the native backend: finding one on this machine, and installing one where there is none."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harness.broker import debian, system_package, unpacked
from harness.errors import BackendUnavailableError
from harness.ledger import Ledger

SYSTEM_HOMES = Path("/usr/lib/rabbitmq/lib")
"""Where the packages of Debian, Ubuntu, Fedora and of RabbitMQ itself put it."""
CACHED = "rabbitmq-"
"""Unpacked ones are in folders called so and by their suite."""
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Installation:
    """A RabbitMQ that can be started natively."""

    home: Path
    """RabbitMQ's own folder, with sbin/ and plugins/."""
    erlang: Path
    """Erlang's root, with bin/ and erts-*/."""
    version: str
    suite: str = ""
    """The suite that it was unpacked from; empty for the system's own."""

    @property
    def environment(self) -> dict[str, str]:
        """The least environment in which its programs find each other."""
        return {"PATH": f"{self.erlang / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    @property
    def server(self) -> Path:
        """The broker's start script."""
        return self.home / "sbin/rabbitmq-server"

    @property
    def control(self) -> Path:
        """The command line tool."""
        return self.home / "sbin/rabbitmqctl"

    @property
    def erl_call(self) -> Path:
        """Erlang's program for a single question to a node; some packages leave it out."""
        return self.erlang / "bin/erl_call"

    @property
    def epmd(self) -> Path:
        """Erlang's port mapper."""
        return max(self.erlang.glob("erts-*/bin/epmd"), key=lambda path: _order(path.parts[-3]))

    @property
    def erlang_version(self) -> str:
        """Erlang's version as exactly as it tells, e.g. 25.2.3."""
        releases = sorted(self.erlang.glob("releases/*/OTP_VERSION"), key=lambda path: _order(path.parent.name))
        return releases[-1].read_text(encoding="utf-8").strip() if releases else ""

    def has_plugin(self, name: str) -> bool:
        """Whether a plugin can be enabled; RabbitMQ says nothing of one that it does not find."""
        # Beside its own folder stands one for what the administrator adds (Debian's /usr/lib/rabbitmq/plugins).
        places = (self.home / "plugins", self.home.parent.parent / "plugins")
        return any(any(place.glob(f"{name}-[0-9]*")) or any(place.glob(f"{name}.ez")) for place in places)


def cache_directory() -> Path:
    """Return the folder of unpacked installations (CHAOS_CACHE_DIR overrides it)."""
    chosen = os.environ.get("CHAOS_CACHE_DIR")
    try:
        return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("chaos-harness")
    except RuntimeError as error:
        raise BackendUnavailableError(
            f"there is no home directory ({error}); name a folder in CHAOS_CACHE_DIR"
        ) from error


def installations() -> tuple[Installation, ...]:
    """Return every installation there is: the system's own first, then the unpacked ones, the newest first."""
    cached = [
        found
        for path in cache_directory().glob(f"{CACHED}*")
        if (found := _unpacked(path, path.name.removeprefix(CACHED))) is not None
    ]
    cached.sort(key=lambda found: _order(found.version), reverse=True)
    system = _system()
    return (*([system] if system is not None else []), *cached)


def find_installation(version: str = "") -> Installation | None:
    """Return the first installation there is; `version` asks for one, by its first numbers (4, 3.10)."""
    wanted = _order(version)
    return next((found for found in installations() if _order(found.version)[: len(wanted)] == wanted), None)


def install(progress: Callable[[str], None], *, suite: str | None = None) -> Installation:
    """Install RabbitMQ; does nothing where it is there. Raises BackendUnavailableError.

    The distribution's own goes in through apt-get as root, and is unpacked into the user's cache folder otherwise. Another
    `suite` of the distribution (trixie has RabbitMQ 4.0, whatever the machine has) is always unpacked, beside what is there.
    """
    if suite is None and (found := find_installation()) is not None:
        return found
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise BackendUnavailableError(
            "RabbitMQ can be installed automatically on Debian and Ubuntu only; install RabbitMQ 3.8 or newer with Erlang "
            "(on a Mac: brew install rabbitmq; on Fedora: dnf install rabbitmq-server), or start a Docker engine"
        )
    if suite is None and os.geteuid() == 0:
        system_package.install(progress)
        found = _system()
        if found is None:
            raise BackendUnavailableError(
                f"{system_package.PACKAGE} was installed and holds no RabbitMQ below {SYSTEM_HOMES}; start a Docker engine"
            )
        return found
    return _unpack(suite or debian.codename(), progress)


def _unpack(suite: str, progress: Callable[[str], None]) -> Installation:
    cache = cache_directory()
    final = cache / f"{CACHED}{suite}"
    if re.search(r"[^\w./+-]", str(final)) or not re.fullmatch(r"[a-z]+", suite):
        raise BackendUnavailableError(
            f"RabbitMQ's scripts cannot run from {final}; name a folder without spaces in CHAOS_CACHE_DIR"
        )
    if (found := _unpacked(final, suite)) is not None:
        return found
    progress(f"unpacking RabbitMQ of {suite} into {final}; this takes no root and touches nothing else")
    ledger = Ledger(f"setup-{secrets.token_hex(4)}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with ledger.directory(cache, "unpacking") as scratch:
            root = scratch / "root"
            unpacked.unpack(suite, root, final)
            if _unpacked(root, suite) is None:
                raise BackendUnavailableError(f"the packages of {suite} hold no RabbitMQ; ask for another suite")
            if final.exists() and _unpacked(final, suite) is None:
                shutil.rmtree(final)
            if not final.exists():
                root.rename(final)
    except OSError as error:
        if (found := _unpacked(final, suite)) is not None:
            # Another setup was faster.
            return found
        raise BackendUnavailableError(
            f"RabbitMQ could not be unpacked into {final}: {error}; make room there, or name another folder in CHAOS_CACHE_DIR"
        ) from error
    finally:
        ledger.close()
    found = _unpacked(final, suite)
    if found is None:
        raise BackendUnavailableError(f"{final} holds no RabbitMQ; remove it and run `chaos setup` again")
    return found


def _system() -> Installation | None:
    """Find what a package of the system, or anything on the path, offers."""
    homes = list(SYSTEM_HOMES.glob("rabbitmq_server-*"))
    on_path = shutil.which("rabbitmq-server")
    if on_path is not None:
        # A home of its own (Homebrew, the generic archive); Debian's is a wrapper somewhere else.
        homes.append(Path(on_path).resolve().parent.parent)
    erl = shutil.which("erl")
    if erl is None:
        return None
    found = [one for home in homes if (one := _at(home, Path(erl).resolve().parent.parent, "")) is not None]
    return max(found, key=lambda one: _order(one.version), default=None)


def _unpacked(root: Path, suite: str) -> Installation | None:
    homes = root.joinpath(*SYSTEM_HOMES.parts[1:]).glob("rabbitmq_server-*")
    found = (_at(home, root / unpacked.ERLANG, suite) for home in homes)
    return next((one for one in found if one is not None), None)


def _at(home: Path, erlang: Path, suite: str) -> Installation | None:
    # A folder or, in older ones, an archive: plugins/rabbit-3.10.8, plugins/rabbit-3.8.9.ez
    versions = [path.name.removesuffix(".ez").removeprefix("rabbit-") for path in home.glob("plugins/rabbit-[0-9]*")]
    if not versions or not home.joinpath("sbin/rabbitmq-server").is_file() or not any(erlang.glob("erts-*/bin/epmd")):
        return None
    return Installation(home, erlang, versions[0], suite)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBERS.findall(version))
