"""Which tests cover a line, and what each of them costs."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.mutants.sites import Site


@dataclass(frozen=True, slots=True)
class Covering:
    """What one run of all tests under coverage.py has shown."""

    tests: Mapping[str, Mapping[int, frozenset[str]]]
    """By file and line, the tests that run it."""
    cost_s: Mapping[str, float]
    """By test, how much time of a processor it took."""
    named_in: Mapping[str, Mapping[str, frozenset[int]]]
    """By name and file, the lines that read the name."""

    def of(self, site: Site) -> list[str]:
        """Return the tests of a site, the quickest first.

        What runs at import is covered by the tests of those lines, of any module, that read its name; what assigns no name that any
        line reads, by all tests of its module.
        """
        if site.lines is not None:
            found = self._between(site.file, range(site.lines[0], site.lines[1] + 1))
        else:
            found = {
                test for file, lines in self.named_in.get(site.name, {}).items() for test in self._between(file, lines)
            }
            found = found or self._between(site.file, self.tests.get(site.file, ()))
        return sorted(found, key=lambda test: (self.cost_s[test], test))

    def _between(self, file: str, lines: Sequence[int] | frozenset[int] | Mapping[int, object]) -> set[str]:
        of_file = self.tests.get(file, {})
        return {test for line in lines for test in of_file.get(line, ())}


def names_read(sources: Mapping[str, str]) -> dict[str, dict[str, frozenset[int]]]:
    """Return by name and file the lines that read the name."""
    found: dict[str, dict[str, set[int]]] = {}
    for file, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.setdefault(node.id, {}).setdefault(file, set()).add(node.lineno)
    return {name: {file: frozenset(lines) for file, lines in by_file.items()} for name, by_file in found.items()}
