"""Tells all lies, and writes the table of docs/verdicts.md: `python -m tools.lies_table [OPTIONS]`, with the options of `chaos selftest`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "verdicts.md"
BEGIN: Final = "<!-- begin: make lies -->"
END: Final = "<!-- end: make lies -->"


def with_table(page: str, table: str) -> str:
    """Return a page with another table between its marks. Raises ValueError for a page without them."""
    if not (BEGIN in page and END in page):
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table}{END}", page, flags=re.DOTALL)


def main(options: Sequence[str]) -> int:
    """Tell the lies and write what became of them; returns the exit code of the self-test."""
    command = [sys.executable, "-m", "harness", "selftest", "--broker", "native", "--all", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.stdout:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), done.stdout), encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
