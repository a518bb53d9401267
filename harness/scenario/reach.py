"""What a scenario waits for or expects although it can never happen: found before the run, not at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.scenario.expectations import COPY_COUNTS
from harness.scenario.flow import Flow, most_messages
from harness.scenario.mistake import Mistake
from harness.scenario.quantities import Comparison, format_duration
from harness.scenario.queue_policy import effective_policy
from harness.scenario.references import most_workers
from harness.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class _Reach:
    """The most of each thing that can ever be; None where nothing bounds it."""

    published: int | None
    confirmed: int | None
    copies: int | None
    """Of messages: as many as there are queues that they are put in."""
    workers: int
    held: int | None
    """Deliveries that workers can hold unsettled at once."""


def unreachable(scenario: Scenario) -> Iterator[Mistake]:
    """Find every trigger that is never met, every expectation that never holds, every publisher that never ends."""
    reach = _reach(scenario)
    yield from _endless(scenario)
    yield from _triggers(scenario, reach)
    yield from _counts(scenario, reach)
    yield from _without_workers(scenario, reach)


def _reach(scenario: Scenario) -> _Reach:
    by_hand = sum(step.action.publishes()[0] for step in scenario.timeline)
    most = most_workers(scenario)
    held = [
        most[group.name] * group.prefetch if group.acks != "automatic" and group.prefetch else None
        for group in scenario.workers
    ]
    confirming = [group for group in scenario.publishers if group.window is not None]
    return _Reach(
        published=_sum([*map(most_messages, scenario.publishers), by_hand]),
        confirmed=_sum([*map(most_messages, confirming), by_hand]),
        copies=Flow(scenario).most_copies,
        workers=sum(most.values()),
        held=_sum(held),
    )


def _sum(values: list[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


def _endless(scenario: Scenario) -> Iterator[Mistake]:
    limit = scenario.time_limit
    for index, group in enumerate(scenario.publishers):
        if group.duration == "timeline" and not scenario.timeline:
            yield Mistake(("publishers", index, "duration"), "there is no timeline to go by")
        needed = group.duration if isinstance(group.duration, float) else None
        if group.messages_each is not None and group.rate_per_s is not None:
            needed = group.messages_each / group.rate_per_s
        if needed is not None and needed > limit:
            key = "duration" if group.duration is not None else "rate"
            message = f"publishing takes {format_duration(needed)}; time_limit is {format_duration(limit)}"
            yield Mistake(("publishers", index, key), message)


def _triggers(scenario: Scenario, reach: _Reach) -> Iterator[Mistake]:
    redelivers = len(scenario.timeline) > 1 or any(group.fails for group in scenario.workers)
    acks = any(group.acks != "automatic" for group in scenario.workers)
    idle = scenario.backlog_first and any(group.duration == "timeline" for group in scenario.publishers)
    for index, step in enumerate(scenario.timeline):
        if step.at is not None and step.at > scenario.time_limit:
            limit = format_duration(scenario.time_limit)
            yield Mistake(("timeline", index, "at"), f"is never reached: time_limit is {limit}")
        for name, value in (step.after.thresholds() if step.after is not None else {}).items():
            why = ""
            if name in ("delivered", "processed", "acked", "in_flight") and reach.workers == 0:
                why = "there are no workers"
            elif name in ("delivered", "processed", "acked", "in_flight") and idle:
                why = "with backlog_first the workers begin after the publishers, and these go on until every step has struck"
            elif name == "acked" and not acks:
                why = "with automatic acks no worker acknowledges"
            elif name == "confirmed" and reach.confirmed is not None and value > reach.confirmed:
                why = _too_few("confirmed", reach.confirmed, "confirms are off")
            elif name == "in_flight" and reach.held is not None and value > reach.held:
                why = f"with their prefetch the workers hold {reach.held} deliveries at most"
            elif name == "published" and reach.published is not None and value > reach.published:
                why = _too_few("published", reach.published, "nothing is published")
            elif name != "published" and reach.copies is not None and value > reach.copies:
                why = "" if name == "delivered" and redelivers else _too_few_copies(reach)
            if why:
                yield Mistake(("timeline", index, "after", name), f"is never reached: {why}")


def _too_few(what: str, most: int, none: str) -> str:
    return f"{most} {'message is' if most == 1 else 'messages are'} {what} in all" if most else none


def _too_few_copies(reach: _Reach) -> str:
    """Say how many copies there are; messages where they are no more."""
    if reach.copies == reach.published or reach.copies is None:
        return _too_few("published", reach.published or 0, "nothing is published")
    return f"the published messages are {reach.copies} copies in all, each in a queue of its own"


def _counts(scenario: Scenario, reach: _Reach) -> Iterator[Mistake]:
    expect, policies = scenario.expect, [effective_policy(queue) for queue in scenario.queues.values()]
    mandatory = any(group.mandatory for group in scenario.publishers)
    expires = any(policy.message_ttl_s is not None for policy in policies)
    rests = bool(scenario.resting_queues)
    unconfirmed = "publishers.confirms is off" if reach.confirmed == 0 else ""
    impossible: tuple[tuple[str, Comparison | None, str], ...] = (
        ("confirmed", expect.confirmed, unconfirmed),
        ("nacked", expect.nacked, unconfirmed),
        ("recovered", expect.recovered, unconfirmed),
        ("returned", expect.returned, "" if mandatory else "publishers.mandatory is off"),
        ("expired", expect.expired, "" if expires else "no queue has a message_ttl"),
        ("dead_lettered", expect.dead_lettered, "" if rests else "nothing comes to rest in a queue without workers"),
        ("processed", expect.processed, "" if reach.workers else "there are no workers"),
    )
    told: set[str] = set()
    for name, comparison, why in impossible:
        if why and comparison is not None and not comparison.holds(0):
            told.add(name)
            yield Mistake(("expect", name), f"can never hold: {why}")
    for name in ("published", "confirmed", "returned", "nacked", "never_promised", *COPY_COUNTS):
        comparison, most = getattr(expect, name), reach.copies if name in COPY_COUNTS else reach.published
        if comparison is not None and name not in told and most is not None and comparison.least > most:
            why = _too_few_copies(reach) if name in COPY_COUNTS else _too_few("published", most, "nothing is sent")
            yield Mistake(("expect", name), f"can never hold: {why}")


def _without_workers(scenario: Scenario, reach: _Reach) -> Iterator[Mistake]:
    expect = scenario.expect
    if reach.confirmed == 0:
        if expect.outage is not None and expect.outage.publishers is not None:
            yield Mistake(("expect", "outage", "publishers"), "nothing waits for a confirm: publishers.confirms is off")
        if expect.latency is not None and expect.latency.confirm is not None:
            yield Mistake(("expect", "latency", "confirm"), "nothing is confirmed: publishers.confirms is off")
    unscheduled = all(group.rate_per_s is None for group in scenario.publishers)
    if unscheduled and expect.latency is not None and expect.latency.completion_due is not None:
        yield Mistake(("expect", "latency", "completion_due"), "nothing is due: no publishers have a rate")
    if reach.workers < 2:
        for name in ("fairness", "round_robin"):
            if getattr(expect, name) is not None:
                yield Mistake(("expect", name), "says something of two workers or more; there are not so many")
