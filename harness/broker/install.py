"""Finding a RabbitMQ on this machine, and installing one: through apt as root, unpacked into a cache folder otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from harness.broker import debian
from harness.errors import BackendUnavailableError

SYSTEM_ROOT = Path("/")
_POLICY = Path("/usr/sbin/policy-rc.d")
_NEEDED = (
    "erlang*",
    "rabbitmq-server",
    "libssl*",
    "libtinfo*",
    "libstdc++*",
    "libsystemd*",
    "liblzma*",
    "libzstd*",
    "liblz4*",
    "libcap2*",
    "libgcrypt*",
    "libgpg-error*",
    "libsctp*",
    "libncurses*",
    "zlib1g*",
    "libgcc-s1*",
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A RabbitMQ that can be started natively."""

    root: Path
    """`/` for the system's own, else the folder that the packages were unpacked into."""
    home: Path
    """The rabbitmq_server-VERSION folder."""
    erlang: Path
    """Erlang's root, with lib/ and erts-*/."""
    version: str

    @property
    def private(self) -> bool:
        """Whether it was unpacked, so that its programs must be told where they are."""
        return self.root != SYSTEM_ROOT

    def environment(self) -> dict[str, str]:
        """Return the environment in which its programs find each other, on top of a minimal one."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if not self.private:
            return {"PATH": path}
        libraries = sorted(
            {str(found.parent) for found in self.root.glob("usr/lib/*/lib*.so*")}
            | {str(found.parent) for found in self.root.glob("lib/*/lib*.so*")}
        )
        return {"PATH": f"{self.root / 'chaos-bin'}:{path}", "LD_LIBRARY_PATH": ":".join(libraries)}

    @property
    def epmd(self) -> Path:
        """Erlang's port mapper."""
        return next(iter(sorted(self.erlang.glob("erts-*/bin/epmd"))))


def cache_directory() -> Path:
    """Return the folder of unpacked installations (CHAOS_CACHE_DIR overrides it)."""
    chosen = os.environ.get("CHAOS_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("chaos-harness")


def find_installation() -> Installation | None:
    """Return the system's RabbitMQ, else the newest unpacked one, else None."""
    return _at(SYSTEM_ROOT) or next(
        (found for path in sorted(cache_directory().glob("rabbitmq-*"), reverse=True) if (found := _at(path))), None
    )


def _at(root: Path) -> Installation | None:
    erlang = root / "usr/lib/erlang"
    homes = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))
    if not homes or not list(erlang.glob("erts-*/bin/epmd")):
        return None
    return Installation(root, homes[-1], erlang, homes[-1].name.removeprefix("rabbitmq_server-"))


def install(progress: Callable[[str], None]) -> Installation:
    """Install the distribution's RabbitMQ; does nothing where one is there. Raises BackendUnavailableError."""
    found = find_installation()
    if found is not None:
        return found
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise BackendUnavailableError(
            "RabbitMQ can be installed automatically on Debian and Ubuntu only; "
            "install RabbitMQ 3.8 or newer with Erlang from your distribution, or start a Docker engine"
        )
    if os.geteuid() == 0:
        _install_by_apt(progress)
    else:
        _unpack(progress)
    found = find_installation()
    if found is None:
        raise BackendUnavailableError(
            "the packages were installed and hold no RabbitMQ; install rabbitmq-server by hand"
        )
    return found


def _install_by_apt(progress: Callable[[str], None]) -> None:
    progress("installing the distribution's rabbitmq-server through apt-get; its system service is not started")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_down():
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "rabbitmq-server"]):
            done = subprocess.run(
                ["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise BackendUnavailableError(
                    f"apt-get {arguments[0]} failed: {debian.last_line(done.stderr or done.stdout)}"
                )
    if shutil.which("systemctl") is not None:
        subprocess.run(["systemctl", "disable", "rabbitmq-server"], capture_output=True, check=False)


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Keep the package from starting its service, by Debian's own means; what was there before is put back."""
    if _POLICY.exists():
        before: bytes | None = _POLICY.read_bytes()
    else:
        before = None
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            _POLICY.unlink()
        else:
            _POLICY.write_bytes(before)


def _unpack(progress: Callable[[str], None]) -> None:
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    progress(f"unpacking the distribution's rabbitmq-server into {cache}; no root needed, nothing else is touched")
    with tempfile.TemporaryDirectory(dir=cache, prefix="unpacking-") as scratch:
        root = Path(scratch) / "root"
        debian.fetch(["rabbitmq-server"], root, keep=_NEEDED)
        found = _at(root)
        if found is None:
            raise BackendUnavailableError(
                "the distribution's packages hold no RabbitMQ; install rabbitmq-server by hand"
            )
        target = cache / f"rabbitmq-{found.version}"
        _write_starters(root, target)
        if target.exists():
            shutil.rmtree(target)
        root.rename(target)


def _write_starters(root: Path, target: Path) -> None:
    """Write `erl` and `escript`: the packaged ones have the system's paths written in."""
    erts = next(iter(root.glob("usr/lib/erlang/erts-*"))).name
    erlang = target / "usr/lib/erlang"
    folder = root / "chaos-bin"
    folder.mkdir()
    (folder / "erl").write_text(
        f"#!/bin/sh\nexport ROOTDIR={erlang} BINDIR={erlang}/{erts}/bin EMU=beam PROGNAME=erl\n"
        'exec "$BINDIR/erlexec" "$@"\n',
        encoding="utf-8",
    )
    (folder / "escript").write_text(
        f'#!/bin/sh\nexport ESCRIPT_EMULATOR={target}/chaos-bin/erl\nexec {erlang}/bin/escript "$@"\n', encoding="utf-8"
    )
    for starter in folder.iterdir():
        starter.chmod(0o755)
