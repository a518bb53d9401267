"""Docker's compose plugin for this user, out of Debian's packages, where the distribution's own is missing or too old."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.broker import debian
from harness.broker.compose_project import compose_command
from harness.errors import BackendUnavailableError

SUITE = "trixie"
"""Debian's first suite with compose 2; its program runs alone, on every suite whose libc is 2.34 or newer."""


def install(progress: Callable[[str], None]) -> Path:
    """Put the plugin into the user's Docker configuration; does nothing where compose 2 is there. Raises BackendUnavailableError."""
    try:
        return Path(shutil.which(compose_command()[0]) or "")
    except BackendUnavailableError:
        pass
    _refuse_elsewhere()
    configuration = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    target = configuration / "cli-plugins" / "docker-compose"
    progress(f"unpacking Debian's docker-compose into {target}")
    with tempfile.TemporaryDirectory(prefix="chaos-compose-") as scratch:
        debian.fetch(["docker-compose"], Path(scratch) / "root", suite=SUITE, keep=("docker-compose",))
        binaries = [path for path in (Path(scratch) / "root").rglob("docker-compose") if path.is_file()]
        if not binaries:
            raise BackendUnavailableError(
                "Debian's docker-compose package holds no docker-compose; install the plugin by hand"
            )
        binary = max(binaries, key=lambda path: path.stat().st_size)
        _try(binary)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".new")
        shutil.copy2(binary, temporary)
        temporary.chmod(0o755)
        temporary.replace(target)
    return target


def _refuse_elsewhere() -> None:
    family = debian.family()
    if "ubuntu" in family:
        raise BackendUnavailableError("install Docker's compose plugin: apt-get install docker-compose-v2")
    if "debian" not in family:
        raise BackendUnavailableError(
            "Docker's compose plugin can be unpacked on Debian only; install docker-compose-plugin from your distribution or from Docker"
        )


def _try(binary: Path) -> None:
    done = subprocess.run([str(binary), "version", "--short"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackendUnavailableError(
            f"Debian's docker-compose does not run here ({debian.last_line(done.stderr)}); install the plugin by hand"
        )
