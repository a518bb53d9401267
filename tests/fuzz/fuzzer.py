"""What a fuzzer is, and the table of what they found."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.fuzz import fuzzers
from tests.fuzz.attempt import Attempt, Flaw


class Fuzzer(Protocol):
    """Makes attempts out of a seed."""

    @property
    def name(self) -> str:
        """What is tried, as the table names it."""

    @property
    def short(self) -> int:
        """How many attempts CI makes: all fuzzers together take a minute."""

    @property
    def long(self) -> int:
        """How many `make fuzz` makes."""

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Make `count` attempts; files go into `folder`, which is empty and removed afterwards."""


def all_fuzzers() -> tuple[Fuzzer, ...]:
    """Return the fuzzers of the modules in `fuzzers/`, each a `FUZZER` there, by name."""
    modules = (
        importlib.import_module(f"{fuzzers.__name__}.{each.name}") for each in pkgutil.iter_modules(fuzzers.__path__)
    )
    found: list[Fuzzer] = [module.FUZZER for module in modules]
    return tuple(sorted(found, key=lambda fuzzer: fuzzer.name))


@dataclass(slots=True)
class Row:
    """What a fuzzer's attempts came to."""

    name: str
    tried: int = 0
    flaws: Counter[Flaw] = field(default_factory=Counter)
    worst: list[Attempt] = field(default_factory=list)
    """Every attempt with a flaw."""

    def add(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self.tried += 1
        found = attempt.flaws
        self.flaws.update(found)
        if found:
            self.worst.append(attempt)


def table(rows: list[Row]) -> str:
    """Return the table of all fuzzers as Markdown."""
    head = ["", "tried", *Flaw]
    body = [[row.name, f"{row.tried:,}", *(str(row.flaws[flaw]) for flaw in Flaw)] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *body])
