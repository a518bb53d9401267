"""Install the packages of a lock file, and say every few seconds how far that is.

Run by the Makefile with the environment's own interpreter, before any package is there: only the standard library is used.
Compiling is left to the first import of each module, which is most of the time that pip takes otherwise.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import Final

EVERY_S: Final = 3.0
PIP: Final = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile")


def main(lock: Path) -> int:
    """Install what a lock file names; returns pip's exit code, after what it said if that is not 0."""
    wanted = packages(lock.read_text(encoding="utf-8"))
    began = time.monotonic()
    say(f"installing {wanted} packages of {lock.name}\n")
    said: list[str] = []
    with subprocess.Popen(
        (*PIP, "--progress-bar", "off", "--require-hashes", "--requirement", lock),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        assert pip.stdout is not None  # noqa: S101 - it is a pipe
        reader = threading.Thread(target=said.extend, args=(pip.stdout,))
        reader.start()
        while True:
            reader.join(EVERY_S)
            if not reader.is_alive():
                break
            say(f"  {time.monotonic() - began:3.0f} s  {progress(said, wanted)}\n")
    if pip.returncode:
        say("".join(said))
    return pip.returncode


def say(text: str) -> None:
    """Write to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def packages(lock: str) -> int:
    """Count the packages of a lock file; some may be for other machines."""
    return len(re.findall(r"^[A-Za-z0-9._-]+==", lock, re.MULTILINE))


def progress(said: list[str], wanted: int) -> str:
    """Say how many packages are there, in the step that pip is in."""
    if any(line.startswith("Installing collected packages") for line in said):
        there = sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
        return f"{there} packages are in place"
    fetched = sum(line.startswith("Collecting ") for line in said)
    return f"{fetched} of {wanted} packages fetched"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
