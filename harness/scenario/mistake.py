"""A mistake in a scenario, or another remark on it, before its place in the file is known, and the words that they share."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import EllipsisType

from harness.errors import Severity

Path = tuple[str | int, ...]
"""Keys and indices from the top of the file."""

Pattern = tuple[str | int | EllipsisType, ...]
"""Paths: `"*"` stands for any one part, `...` at the end for whatever is above or below."""

MOST_MISTAKES = 500
"""As many of a file are told; beyond that nobody reads on, and looking for more would take minutes."""
_LONGEST_COMPARED = 300
_MOST_COMPARED = 1000
_LONGEST_SHOWN = 40
_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say about a path; `about_key` tells the key's place from its value's."""

    path: Path
    message: str
    about_key: bool = False
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
class Mistake(Remark):
    """A remark on what is wrong: with one, a scenario is not run."""

    severity: Severity = Severity.MISTAKE
    meant: str | None = None
    """The key or word that was probably meant; reading goes on with it, to find what else is wrong."""
    inside: str | None = None
    """The key beside this one that it belongs into; reading goes on with it there."""
    rests_on: tuple[Pattern, ...] = ()
    """What else of the file it speaks of. Where something of that is wrong already, and was left out or guessed, this one is not told:
    it may be nothing but a consequence."""


def resting_on(mistakes: Iterable[Mistake], *patterns: Pattern) -> Iterator[Mistake]:
    """Say of mistakes what they rest on."""
    return (replace(mistake, rests_on=(*mistake.rests_on, *patterns)) for mistake in mistakes)


def matches(pattern: Pattern, path: Path) -> bool:
    """Whether a pattern speaks of a path."""
    if pattern[-1:] == (...,):
        return all(one in ("*", other) for one, other in zip(pattern[:-1], path, strict=False))
    return len(pattern) == len(path) and all(one in ("*", other) for one, other in zip(pattern, path, strict=True))


def dotted(path: Path) -> str:
    """Write a path as people read it: `queues.tasks.durable`, `timeline.0.kill`."""
    return ".".join(str(part) for part in path)


def shown(value: object) -> str:
    """Write a value of the file for a message, shortened, in one line."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            text = repr(value[: 2 * _LONGEST_SHOWN])
            return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 4]}…'"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            text = str(value)
            return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def enumerated(words: Iterable[str], last: str = "or") -> str:
    """Join words as in a sentence: `a, b or c`."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant, None if none comes near. Case, spaces, _ and - do not count.

    Of very many candidates only those that come beside the word in the order of the alphabet are compared.
    """
    by_plain, in_order = _in_order(tuple(candidates))
    plain, compared = _plain(word[:_LONGEST_COMPARED]), in_order
    if len(in_order) > _MOST_COMPARED:
        at = bisect_left(in_order, plain)
        compared = in_order[max(0, at - _MOST_COMPARED // 2) : at + _MOST_COMPARED // 2]
    close = difflib.get_close_matches(plain, compared, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


@lru_cache(maxsize=32)
def _in_order(candidates: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    by_plain = {_plain(candidate[:_LONGEST_COMPARED]): candidate for candidate in sorted(candidates, reverse=True)}
    return by_plain, sorted(by_plain)


def did_you_mean(word: str, candidates: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the likely one, or else what there is."""
    if (meant := nearest(word, candidates)) is not None:
        return f", did you mean {meant}?"
    if len(candidates) < 2:
        return f"; there is {candidates[0] if candidates else 'none'}"
    few = list(candidates[:_MOST_LISTED])
    return f"; there are {enumerated(few if len(few) == len(candidates) else [*few, 'others'], 'and')}"


def _plain(word: str) -> str:
    return word.lower().replace("_", " ").replace("-", " ").strip()
