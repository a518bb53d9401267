"""Tables in the documentation that a tool writes anew: they stand between two marks that name the tool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


def write_table(page: str, target: str, table: str) -> None:
    """Replace what `make TARGET` wrote into a page of docs/ before. Raises ValueError for a page without the marks."""
    path = DOCS / page
    path.write_text(with_table(path.read_text(encoding="utf-8"), target, table), encoding="utf-8")


def with_table(text: str, target: str, table: str) -> str:
    """Return a page with another table between its marks. Raises ValueError for a page without them."""
    begin, end = f"<!-- begin: make {target} -->", f"<!-- end: make {target} -->"
    if not (begin in text and end in text):
        raise ValueError(f"the page has no {begin} and {end}")
    return re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{table}{end}", text, flags=re.DOTALL)
