"""One attempt of a fuzzer: what was done, how `chaos` answered, and what is wrong with the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.errors import ExitCode
from harness.plain import lines

LAST_RESORT: Final = "is a fault of the harness"
"""Of the sentence that an error which nobody foresaw ends in: in order for people, and still a mistake."""


class Flaw(StrEnum):
    """What can be wrong with an answer; also the columns of the table."""

    TRACEBACK = "tracebacks"
    EXIT_CODE = "wrong exit codes"
    LEFT_BEHIND = "left behind"
    SECRET = "secrets seen"  # noqa: S105 - a column
    CONTROL = "raw control characters"
    SLOW = "took too long"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed and how it ended; `code` is negative where a signal ended it, None where it had to be killed."""

    code: int | None
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing tried."""

    what: str
    """How to try it again: the seed and what was done, on one line."""
    answer: Answer
    allowed: frozenset[ExitCode]
    secrets: tuple[str, ...] = ()
    """What must be in no output and no file."""
    left: tuple[str, ...] = ()
    """What was found afterwards that should be gone."""
    files: tuple[str, ...] = ()
    """Texts of files that were written and that must hold no secret and no traceback."""

    @property
    def flaws(self) -> frozenset[Flaw]:
        """Name what is wrong."""
        code, said = self.answer.code, (self.answer.out, self.answer.err)
        everything = (*said, *self.files)
        found = {
            Flaw.TRACEBACK: any(
                "Traceback (most recent call last)" in text or LAST_RESORT in text for text in everything
            ),
            Flaw.EXIT_CODE: code is not None and code not in self.allowed,
            Flaw.LEFT_BEHIND: bool(self.left),
            Flaw.SECRET: any(secret in text for secret in self.secrets for text in everything),
            Flaw.CONTROL: any(lines(text) != text or _commands(text) for text in said),
            Flaw.SLOW: code is None,
        }
        return frozenset(flaw for flaw, is_there in found.items() if is_there)

    def __str__(self) -> str:
        """Tell it so that it can be understood and repeated."""
        what = ", ".join(sorted(self.flaws)) or "in order"
        return f"{self.what}\n  {what}; exit code {self.answer.code}; said: {self.answer.err[-2000:]!r}"


def _commands(text: str) -> bool:
    """Whether a line would be taken for a command by a CI system."""
    return re.search(r"^\s*::\w+", text, flags=re.MULTILINE) is not None
