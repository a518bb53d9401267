"""Reading apt's configuration of sources, in both of its formats (sources.list(5)).

By hand, for apt itself tells its sources only once their lists were fetched, which a fresh machine has not done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(
    r"deb\s+(?:\[[^\]]*\]\s*)?(?P<address>\[[^\]]*\]\S*|[^\s\[]\S*)\s+(?P<suite>\S+)\s*(?P<components>[^#]*)"
)
_FIELD = re.compile(r"(?P<name>[\w-]+):(?P<value>.*)")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive's suite with binary packages."""

    address: str
    suite: str
    components: tuple[str, ...]


def sources(directory: Path) -> Iterator[Source]:
    """Yield every source that is enabled below apt's configuration directory, in apt's order."""
    parts = directory / "sources.list.d"
    files = [directory / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]
    for path in sorted(files, key=lambda path: (path.parent != directory, path.name)):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield from _stanzas(text) if path.suffix == ".sources" else _lines(text)


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            yield Source(match["address"], match["suite"], tuple(match["components"].split()))


def _stanzas(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and last:
                fields[last] += f" {line.strip()}"
            elif match := _FIELD.match(line):
                last = match["name"].lower()
                fields[last] = match["value"].strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        components = tuple(fields.get("components", "").split())
        for address in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(address, suite, components)
