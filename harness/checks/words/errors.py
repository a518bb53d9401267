"""The AMQP errors that publishers and workers met, said once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from harness.checks.tally.sessions import TrafficError
from harness.verdict.words import plural

_FORCED: Final = 320
"""connection-forced: a node that stops says so to everybody, which the steps of the run tell better."""
SHOWN: Final = 3
"""How many different errors are said."""


def errors_of_traffic(errors: Sequence[TrafficError]) -> Iterator[str]:
    """Yield a note for each of the most frequent errors: what the broker said, how often, and to whom."""
    counts = Counter((error.code, error.text) for error in errors if error.code != _FORCED)
    for (code, text), count in counts.most_common(SHOWN):
        met = sorted({error.actor for error in errors if (error.code, error.text) == (code, text)})
        who = ", ".join(met) if len(met) <= SHOWN else f"{', '.join(met[:SHOWN])} and {len(met) - SHOWN} others"
        yield f"the broker refused or closed a channel or connection {plural(count, 'time')} with {code} {text} ({who})"
    if len(counts) > SHOWN:
        yield f"{plural(len(counts) - SHOWN, 'more error')} of publishers and workers can be found in the history"
