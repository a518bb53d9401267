"""Holding the expectations against what was observed, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from harness.checks.rules.distribution import texts_processed
from harness.checks.rules.either_way import Bounded, broken_either_way
from harness.checks.rules.observed import Observed
from harness.scenario import expectations as language
from harness.scenario.expectations import Expectations
from harness.scenario.quantities import Comparison, format_duration
from harness.scenario.scenario import Scenario
from harness.verdict.data import Counts, ExpectationResult, Fate, Place
from harness.verdict.times import Percentiles
from harness.verdict.words import plural

SHOWN_ERRORS: Final = 3
"""Most different errors that are named where those that were expected did not occur."""

NOTHING: Final = Comparison("0", (("==", 0.0),))
ALWAYS: Final = (
    "lost",
    "unexplained_duplicates",
    "phantom",
    "corrupt",
    "misrouted",
    "kept_after_ack",
    "stranded",
    "in_transit",
    "dead_lettered",
    "expired",
    "dropped",
    "removed",
    "retained",
    "resurrected",
)
"""What must be 0 when the scenario says nothing of it."""

COUNTS: Final[dict[str, Callable[[Counts], int]]] = {
    "lost": lambda counts: counts.fates[Fate.LOST],
    "duplicates": lambda counts: counts.duplicates,
    "unexplained_duplicates": lambda counts: counts.unexplained_duplicates,
    "phantom": lambda counts: counts.phantom,
    "corrupt": lambda counts: counts.corrupt,
    "misrouted": lambda counts: counts.misrouted,
    "kept_after_ack": lambda counts: counts.kept_after_ack,
    "stranded": lambda counts: counts.fates[Fate.STRANDED],
    "in_transit": lambda counts: counts.fates[Fate.IN_TRANSIT],
    "published": lambda counts: counts.published,
    "confirmed": lambda counts: counts.confirmed,
    "processed": lambda counts: sum(counts.fates[fate] for fate in (Fate.PROCESSED, Fate.RECOVERED, Fate.RESURRECTED)),
    "redelivered": lambda counts: counts.redelivered,
    "dead_lettered": lambda counts: counts.fates[Fate.DEAD_LETTERED],
    "expired": lambda counts: counts.fates[Fate.EXPIRED],
    "dropped": lambda counts: counts.fates[Fate.DROPPED],
    "removed": lambda counts: counts.fates[Fate.REMOVED],
    "retained": lambda counts: counts.fates[Fate.RETAINED],
    "returned": lambda counts: counts.returned,
    "nacked": lambda counts: counts.nacked,
    "never_promised": lambda counts: counts.fates[Fate.NEVER_PROMISED],
    "recovered": lambda counts: counts.fates[Fate.RECOVERED],
    "resurrected": lambda counts: counts.fates[Fate.RESURRECTED],
}


_KEYS: Final = {
    Fate.EXPIRED: "expired",
    Fate.DROPPED: "dropped",
    Fate.REMOVED: "removed",
    Fate.RETAINED: "retained",
    Fate.STRANDED: "stranded",
    Fate.IN_TRANSIT: "in_transit",
}
"""The expectation on each fate that may be only possible."""
_FATES: Final = {key: fate for fate, key in _KEYS.items()} | {"lost": Fate.LOST}


def evaluate(scenario: Scenario, observed: Observed) -> tuple[ExpectationResult, ...]:
    """Hold every expectation of the scenario, and those that always hold, against what was observed."""
    expect = scenario.expect
    return (
        *_together(expect, observed.counts, _counts(expect, observed)),
        *_lost_at(expect, observed),
        *_order(expect, observed),
        *_distribution(scenario, observed),
        *_times(expect, observed),
        *_speed(expect, observed),
        *_errors(expect, observed),
    )


def too_few(scenario: Scenario, observed: Observed) -> frozenset[str]:
    """Return the paths of the counts of which less was seen than the scenario asks for at the least."""
    expect, found = scenario.expect, set()
    for name, count in COUNTS.items():
        comparison: Comparison | None = getattr(expect, name)
        if comparison is not None and _too_little(name, count(observed.counts), comparison, observed):
            found.add(name)
    for place in Place:
        comparison = getattr(expect.lost_at, place.value) if expect.lost_at is not None else None
        path = f"lost_at.{place.value}"
        if comparison is not None and _too_little(path, observed.lost_at[place], comparison, observed):
            found.add(path)
    return frozenset(found)


def _too_little(path: str, value: int, comparison: Comparison, observed: Observed) -> bool:
    """Whether a figure falls short of a comparison, or what of it is owed to a control's settings does."""
    own = observed.shown.get(path)
    return _is_short(value, comparison) or (own is not None and _is_short(own.most, comparison.at_least))


def _is_short(value: int, comparison: Comparison) -> bool:
    """Whether a figure is too low for a comparison, whatever else it says: more would have to be seen."""
    return not comparison.holds(value) and value <= comparison.least


def _counts(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    for name in COUNTS:
        comparison: Comparison | None = getattr(expect, name)
        stated = comparison is not None
        if comparison is None and name in ALWAYS:
            comparison = NOTHING
        if comparison is None:
            continue
        low, high = _least(name, observed.counts), _most(name, observed.counts)
        result = ExpectationResult(name, str(comparison), _interval(low, high), _holds(comparison, low, high), stated)
        if not result.holds:
            result = replace(result, explanation=_why(name, observed))
        yield _as_control(result, comparison, observed)


def _together(
    expect: Expectations, counts: Counts, results: Iterable[ExpectationResult]
) -> tuple[ExpectationResult, ...]:
    """Call those results broken that are so however the copies which are only possibly of a fate are divided."""
    figures = {}
    for name, fate in _FATES.items():
        if counts.least(fate) < counts.most(fate):
            figures[name] = Bounded(counts.least(fate), counts.most(fate), getattr(expect, name) or NOTHING)
    total = sum(counts.fates.get(_FATES[name], 0) for name in figures)
    return broken_either_way(results, figures, total)


def _as_control(result: ExpectationResult, comparison: Comparison, observed: Observed) -> ExpectationResult:
    """Hold a count that a control expects some of against what of it is owed to the settings that the control takes away."""
    own = observed.shown.get(result.path)
    if own is None or comparison.holds(0) or result.holds is False:
        return result
    shows = _holds(comparison.at_least, own.least, own.most)
    if shows:
        return result
    seen = f"{result.observed}, of which {_interval(own.least, own.most)} for want of what the control takes away"
    why = "a control is shown by what its own settings would have prevented; see why the others were not done"
    return replace(result, observed=seen, holds=shows, explanation=why)


def _interval(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _least(name: str, counts: Counts) -> int:
    """Return what of a count is shown."""
    return counts.least(_FATES[name]) if name in _FATES else COUNTS[name](counts)


def _most(name: str, counts: Counts) -> int:
    """Return what of a count is shown or possible: what is only possibly of another fate may have been lost."""
    return counts.most(_FATES[name]) if name in _FATES else COUNTS[name](counts)


def _holds(comparison: Comparison, low: int, high: int) -> bool | None:
    """Return whether a figure between two bounds fulfils a comparison; None where that depends on which one it is."""
    if comparison.holds_for_all(low, high):
        return True
    return False if comparison.holds_for_none(low, high) else None


def _why(name: str, observed: Observed) -> str:
    """Explain a count that is not as expected, where more is known than the figure."""
    counts = observed.counts
    lost = counts.fates[Fate.LOST]
    reasons = {
        "lost": _where_lost(observed) if lost else _not_lost(observed),
        "processed": f"{lost:,} of {counts.published:,} published messages were lost" if lost else "",
        "stranded": "they were still in a work queue when the drain ended",
        "unexplained_duplicates": "processed more than once, with no redelivery or republish to explain it",
        "phantom": "processed (or found in a queue), and nobody in this run had published it",
    }
    return reasons.get(name, "") if COUNTS[name](counts) or name == "lost" else ""


def _where_lost(observed: Observed) -> str:
    return "where they were: " + ", ".join(
        f"{place.value} {count:,}" for place, count in observed.lost_at.items() if count
    )


def _not_lost(observed: Observed) -> str:
    possible = observed.counts.perhaps_lost
    if possible:
        return f"{possible:,} may have been lost"
    met = [fault for fault in observed.faults if fault.at_risk]
    said = ", ".join(f"{fault.at_risk:,} when `{fault.title}` struck" for fault in met)
    return f"none of the messages at risk was lost ({said})" if met else "no fault met a message at risk"


def _lost_at(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    if expect.lost_at is None:
        return
    places = observed.lost_at
    for place in Place:
        comparison: Comparison | None = getattr(expect.lost_at, place.value)
        if comparison is not None:
            value = places[place]
            result = ExpectationResult(
                f"lost_at.{place.value}", str(comparison), f"{value:,}", comparison.holds(value), stated=True
            )
            yield _as_control(result, comparison, observed)


def _order(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    if expect.order is not None:
        kept = expect.order if isinstance(expect.order, bool) else expect.order.kept
        count = observed.counts.out_of_order if isinstance(expect.order, bool) else observed.undisturbed_out_of_order
        seen = "in order" if count == 0 else f"{count:,} out of order"
        wanted = "in order" if kept else "out of order"
        if not isinstance(expect.order, bool):
            wanted += ", redelivered ones left out"
        yield ExpectationResult("order", wanted, seen, (count == 0) is kept, stated=True)
    if expect.round_robin is not None:
        in_turn, seen = observed.in_turn
        wanted = "strictly in turn" if expect.round_robin else "not in turn"
        yield ExpectationResult("round_robin", wanted, seen, in_turn is expect.round_robin, stated=True)


def _distribution(scenario: Scenario, observed: Observed) -> Iterator[ExpectationResult]:
    expect, workers = scenario.expect, observed.workers
    everything = sum(figures.processed for figures in workers)
    for who, wanted in expect.processed_by.items():
        mine = [figures for figures in workers if who in (figures.actor, figures.group)]
        path = f"processed_by.{who}"
        nobody = "" if mine else f"there was no worker or group {who!r} in this run"
        if isinstance(wanted, Comparison):
            total = sum(figures.processed for figures in mine)
            yield ExpectationResult(
                path, str(wanted), f"{total:,}", wanted.holds(total), stated=True, explanation=nobody
            )
        else:
            texts = texts_processed([figures.actor for figures in mine], observed.tally, scenario)
            yield ExpectationResult(path, " | ".join(wanted), " | ".join(texts), texts == tuple(wanted), True, nobody)
    if expect.dealt:
        hands = (texts_processed([figures.actor], observed.tally, scenario) for figures in workers)
        dealt = sorted(hand for hand in hands if hand)
        wished = sorted(tuple(hand) for hand in expect.dealt)
        yield ExpectationResult("dealt", _hands(wished), _hands(dealt), dealt == wished, stated=True)
    for who, share in expect.shares.items():
        path = f"shares.{who}"
        if not everything:
            yield ExpectationResult(path, str(share), "nothing was processed", holds=None, stated=True)
            continue
        value = sum(figures.processed for figures in workers if who in (figures.actor, figures.group)) / everything
        yield ExpectationResult(path, str(share), f"{value:.1%}", share.holds(value), stated=True)
    if expect.fairness is not None:
        processed = [figures.processed for figures in workers]
        least, most = min(processed, default=0), max(processed, default=0)
        if not most:
            yield ExpectationResult("fairness", str(expect.fairness), "nothing was processed", holds=None, stated=True)
        else:
            ratio = most / least if least else float("inf")
            seen = f"{ratio:.2f} ({most:,} against {least:,})"
            yield ExpectationResult("fairness", str(expect.fairness), seen, expect.fairness.holds(ratio), stated=True)


def _hands(hands: list[tuple[str, ...]]) -> str:
    return " / ".join(" | ".join(hand) for hand in hands) or "nothing"


def _times(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    if expect.outage is not None:
        yield from _time("outage.publishers", expect.outage.publishers, observed.outages.longest_publishers_s)
        yield from _time("outage.workers", expect.outage.workers, observed.outages.longest_workers_s)
        down = observed.broker_down
        yield from _time("outage.broker", expect.outage.broker, None if down is None else down.longest_s)
    if expect.latency is not None:
        yield from _latency("latency.confirm", expect.latency.confirm, observed.confirm_latency)
        yield from _latency("latency.completion", expect.latency.completion, observed.completion_latency)
        yield from _latency("latency.completion_due", expect.latency.completion_due, observed.completion_due_latency)
    if expect.recovery is not None:
        recovered = [fault for fault in observed.faults if fault.recovery_s is not None]
        slowest = max(recovered, key=lambda fault: fault.recovery_s or 0.0, default=None)
        seconds, after = (slowest.recovery_s, f"after `{slowest.title}`") if slowest else (None, "")
        yield from _time("recovery", expect.recovery, seconds, after)


def _time(
    path: str, wanted: Comparison | None, seconds: float | None, explanation: str = ""
) -> Iterator[ExpectationResult]:
    if wanted is None:
        return
    if seconds is None:
        yield ExpectationResult(path, str(wanted), "nothing to measure", holds=None, stated=True)
    else:
        holds = wanted.holds(seconds)
        yield ExpectationResult(
            path, str(wanted), format_duration(seconds), holds, stated=True, explanation="" if holds else explanation
        )


def _latency(path: str, wanted: language.Percentiles | None, seen: Percentiles | None) -> Iterator[ExpectationResult]:
    if wanted is not None:
        for name in ("p50", "p95", "p99", "max"):
            yield from _time(f"{path}.{name}", getattr(wanted, name), None if seen is None else getattr(seen, name))


def _speed(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    for action, wanted in expect.faster_after.items():
        ratio = observed.speed_ups.get(action)
        path = f"faster_after.{action}"
        if ratio is None:
            yield ExpectationResult(path, str(wanted), "too little work around it to tell", holds=None, stated=True)
        else:
            yield ExpectationResult(path, str(wanted), f"{ratio:.2f} times", wanted.holds(ratio), stated=True)


def _errors(expect: Expectations, observed: Observed) -> Iterator[ExpectationResult]:
    for index, wanted in enumerate(expect.errors):
        seen = [error for error in observed.errors if error.code == wanted.code and (wanted.text or "") in error.text]
        count = wanted.count
        expected = f"{wanted.code} {wanted.text or ''}".strip() + (f" (how often: {count})" if count else "")
        holds = count.holds(len(seen)) if count else bool(seen)
        others = _listed(f"{error.code} {error.text}" for error in observed.errors) or "no error"
        observed_text = plural(len(seen), "time") if seen else others
        yield ExpectationResult(f"errors.{index}", expected, observed_text, holds, stated=True)


def _listed(texts: Iterable[str]) -> str:
    """List different texts, the first ones only where they are many."""
    different = list(dict.fromkeys(texts))
    more = f", and {len(different) - SHOWN_ERRORS} others" if len(different) > SHOWN_ERRORS else ""
    return ", ".join(different[:SHOWN_ERRORS]) + more
