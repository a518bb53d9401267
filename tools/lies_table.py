"""Tells all lies, and writes the table of docs/verdicts.md: `python -m tools.lies_table [OPTIONS]`, with the options of `chaos selftest`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from tools.pages import write_table


def main(options: Sequence[str]) -> int:
    """Tell the lies and write what became of them; returns the exit code of the self-test."""
    command = [sys.executable, "-m", "harness", "selftest", "--broker", "native", "--all", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.stdout:
        write_table("verdicts.md", "lies", done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
