"""A publisher or worker as a process of its own: `python -m harness.traffic.process`.

The first line of its standard input tells which it is, and the path of its spec; it may come long after the start. Commands follow.
"""

from __future__ import annotations

import os
import sys

from harness.traffic import publisher, worker

STDIN = 0
MAIN = {"publisher": publisher.main, "worker": worker.main}


def main() -> int:
    """Wait for the line and be what it says; returns the exit code, 0 where the line never comes."""
    role, _, spec_path = _line().partition(" ")
    return MAIN[role](spec_path) if spec_path else 0


def _line() -> str:
    """Read a line, and not a byte more: the commands behind it are for whoever comes next."""
    line = b""
    while (byte := os.read(STDIN, 1)) not in (b"", b"\n"):
        line += byte
    return os.fsdecode(line)


if __name__ == "__main__":
    sys.exit(main())
