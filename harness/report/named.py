"""The messages that short reports name: the first that were lost or done more than once, and how to see the life of one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from harness.scenario.scenario import GUARANTEE
from harness.verdict.data import Outcome, VariantVerdict

MOST_NAMED: Final = 5
"""Of each kind."""


def named(variant: VariantVerdict) -> Iterator[str]:
    """Yield a line for each kind of message that a variant names: `lost: publisher-1#20, publisher-1#21`."""
    for kind, messages in (("lost", variant.lost), ("done more than once", variant.done_twice)):
        names = list(dict.fromkeys(str(each.message) for each in messages))
        if names:
            yield f"{kind}: {', '.join(names[:MOST_NAMED])}{', …' if len(names) > MOST_NAMED else ''}"


def trace_command(variants: Sequence[VariantVerdict], run: str) -> str:
    """Return the command that prints the life of a message; of a variant that is not as expected, if one names any.

    `run` is the run's directory, or what stands for it. Empty where no variant names a message.
    """
    naming = [variant for variant in variants if variant.lost or variant.done_twice]
    if not naming:
        return ""
    variant = next((each for each in naming if each.outcome is not Outcome.AS_EXPECTED), naming[0])
    message = variant.lost[0].message if variant.lost else variant.done_twice[0].message
    option = "" if variant.name == GUARANTEE else f" --variant {shlex.quote(variant.name)}"
    return f"chaos trace {shlex.quote(run)} {message}{option}"
