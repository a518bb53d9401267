"""RabbitMQ and Erlang unpacked into a folder, and made to run from there: without root, and on an older libc than theirs.

Two things tie the packages to the system they were built for. Erlang's `erl` has its root directory written in, so it is
written anew. And every program names the system's dynamic loader, whose libc may be too old for it; so each program is
moved aside, and a script in its place starts it through the loader that was unpacked with it, with the libraries that were.
"""

from __future__ import annotations

from pathlib import Path

from harness.broker import debian
from harness.errors import BackendUnavailableError

PACKAGES = ("rabbitmq-server",)
KEPT = (
    "erlang-*",
    "rabbitmq-server",
    "libc6",
    "libcap2",
    "libcrypt1",
    "libgcc-s1",
    "libgcrypt20",
    "libgpg-error0",
    "liblz4-1",
    "liblzma5",
    "libsctp1",
    "libssl*",
    "libstdc++6",
    "libsystemd0",
    "libtinfo6",
    "libzstd1",
    "zlib1g",
)
"""What Erlang's programs and RabbitMQ need of all that the packages depend on (init scripts, adduser, Perl …)."""

ERLANG = Path("usr/lib/erlang")
LIBRARIES = ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*")
ASIDE = "unwrapped"
"""The folder that a program is moved into, beside its place; it keeps its name, which `escript` looks at."""

_ELF = b"\x7fELF"


def unpack(suite: str, root: Path, final: Path) -> None:
    """Fetch a suite's RabbitMQ into `root` and make it run from `final`, where the folder will be moved to.

    Raises BackendUnavailableError.
    """
    debian.fetch(PACKAGES, root, suite=suite, keep=KEPT)
    erlang = root / ERLANG
    runtimes = sorted(erlang.glob("erts-*/bin"))
    libraries = [folder for place in LIBRARIES for folder in sorted(root.glob(place))]
    loaders = [loader for folder in libraries for loader in sorted(folder.glob("ld-linux*.so.*"))]
    if not runtimes or not loaders:
        raise BackendUnavailableError(
            f"the packages of {suite} hold no Erlang that can be run from a folder; ask for another suite, or install "
            "rabbitmq-server by hand"
        )
    start = (
        f"exec {_there(loaders[0], root, final)} --inhibit-cache "
        f"--library-path {':'.join(_there(path, root, final) for path in libraries)}"
    )
    for program in _programs(erlang):
        aside = program.parent / ASIDE / program.name
        aside.parent.mkdir(exist_ok=True)
        program.rename(aside)
        _script(program, f'{start} {_there(aside, root, final)} "$@"')
    there = _there(erlang, root, final)
    for starter in (erlang / "bin/erl", *erlang.glob("erts-*/bin/erl")):
        _script(
            starter,
            f"export ROOTDIR={there} BINDIR={_there(runtimes[-1], root, final)} EMU=beam PROGNAME=erl\n"
            f'export ESCRIPT_EMULATOR={there}/bin/erl\nexec "$BINDIR/erlexec" "$@"',
        )


def _programs(erlang: Path) -> list[Path]:
    found = []
    for path in erlang.rglob("*"):
        if path.is_symlink() or not path.is_file() or ".so" in path.suffixes:
            continue
        with path.open("rb") as file:
            if file.read(len(_ELF)) == _ELF:
                found.append(path)
    return found


def _there(path: Path, root: Path, final: Path) -> str:
    return str(final / path.relative_to(root))


def _script(path: Path, body: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
