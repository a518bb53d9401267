"""The list of mutants that are no mistakes: `tests/mutants_equivalent.toml`.

```toml
[[mutant]]
file = "harness/checks/rules/in_order.py"
function = ""                    # around it; empty at the top of a module
line = "AT_ONCE = 1 << 15"       # the source line, without blanks around it
before = "15"
after = ["14", "16"]             # one or several; leave it out for all
reason = "how many are sorted at once changes the memory, not the result"
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutants.sites import Site


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Mutants of one place that change nothing."""

    file: str
    function: str
    line: str
    before: str
    after: tuple[str, ...]
    """What is written instead; all if it is empty."""
    reason: str

    def is_of(self, site: Site, source: str) -> bool:
        """Whether a site is one of them."""
        line = source.splitlines()[site.line - 1].strip()
        mine = (self.file, self.function, self.line, self.before) == (site.file, site.function, line, site.before)
        return mine and (not self.after or site.after in self.after)


def read(path: Path) -> list[Equivalent]:
    """Read the list. Raises ValueError for an entry without a reason, or with a key too many or too few."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    found = []
    for entry in entries:
        try:
            after = entry.pop("after", ())
            found.append(Equivalent(after=(after,) if isinstance(after, str) else tuple(after), **entry))
        except TypeError as wrong:
            raise ValueError(f"{path}: {entry}: {wrong}; it needs file, function, line, before and reason") from None
        if not found[-1].reason.strip():
            raise ValueError(f"{path}: {entry} needs a reason")
    return found


def outdated(
    entries: Sequence[Equivalent], by_file: Mapping[str, Sequence[Site]], sources: Mapping[str, str]
) -> list[Equivalent]:
    """Return the entries that speak of no site any more."""
    return [
        entry
        for entry in entries
        if not any(entry.is_of(site, sources[entry.file]) for site in by_file.get(entry.file, ()))
    ]
