"""Builds the yardsticks from the sources beside this file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.errors import ChaosError

SOURCES = Path(__file__).parent
JARS = Path("/usr/share/java")
"""Where Debian and Ubuntu put the jars of their packages."""
PACKAGES = "gcc librabbitmq-dev default-jdk-headless librabbitmq-client-java"


class YardstickError(ChaosError):
    """A yardstick cannot be built or has failed; one sentence."""


def build_c(folder: Path) -> list[str]:
    """Compile the C client into a folder; returns the command that begins it. Raises YardstickError."""
    program = folder / "client"
    _run(["gcc", "-O2", "-Wall", "-Wextra", str(SOURCES / "client.c"), "-o", str(program), "-lrabbitmq"])
    return [str(program)]


def build_java(folder: Path) -> list[str]:
    """Compile the Java client into a folder; returns the command that begins it. Raises YardstickError."""
    jars = [path for name in ("amqp-client", "slf4j-api", "slf4j-nop") if (path := JARS / f"{name}.jar").exists()]
    classes = ":".join((str(folder), *map(str, jars)))
    _run(["javac", "-d", str(folder), "-cp", classes, str(SOURCES / "Client.java")])
    return ["java", "-cp", classes, "Client"]


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise YardstickError(f"{command[0]} is missing; install it: apt-get install {PACKAGES}")
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        said = (built.stderr.strip() or built.stdout.strip()).splitlines()
        raise YardstickError(
            f"{command[0]} failed: {said[0] if said else 'it says nothing'}; apt-get install {PACKAGES}"
        )
