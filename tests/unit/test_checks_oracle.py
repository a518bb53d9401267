"""The checks against the oracle, on histories that no broker would make and on the ones it would."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.rules.causes import find_causes
from harness.checks.rules.fates import find_fates
from harness.checks.tally.message_table import tabulate
from harness.history.read import Log
from harness.verdict.data import Fate
from tests.examples import examples
from tests.unit.histories import FOREIGN, MS, Story, scenario
from tests.unit.oracle import Oracle

pytestmark = pytest.mark.seconds

SEQS, PUBLISHERS, WORKERS = 9, 2, 2
QUEUES = ("tasks", "other", "dead")
REACHES = {"tasks": ("tasks",), "other": ("other",), "fan/": ("tasks", "other")}
ROUTES = tuple(REACHES)
SCENARIO = scenario(
    queues={"tasks": {"dead_letter": "dead"}, "other": {}, "dead": {}},
    exchanges={"fan": {"type": "fanout"}},
    bindings=[{"exchange": "fan", "queue": "tasks"}, {"exchange": "fan", "queue": "other"}],
    publishers={"count": PUBLISHERS, "messages": SEQS},
    workers=[{"name": "worker", "count": WORKERS, "queue": "tasks"}, {"name": "else", "count": 1, "queue": "other"}],
)

Step = tuple[str, int, int, int]

seq = st.integers(0, SEQS - 1)
publisher = st.integers(1, PUBLISHERS)
worker = st.integers(1, WORKERS)
step = st.one_of(
    st.tuples(st.just("publish"), seq, publisher, st.just(0)),
    st.tuples(st.just("publish"), seq, publisher, st.just(0)),
    st.tuples(st.just("confirm"), st.integers(1, 6), publisher, st.integers(1, 4)),
    st.tuples(st.just("nack"), st.integers(1, 6), publisher, st.integers(1, 2)),
    st.tuples(st.just("return"), seq, publisher, st.integers(1, 2)),
    st.tuples(st.sampled_from(["publisher lost", "publisher dies"]), st.just(0), publisher, st.just(0)),
    st.tuples(st.sampled_from(["worker lost", "worker dies", "wait"]), st.just(0), worker, st.just(0)),
    st.tuples(st.just("deliver"), st.integers(0, SEQS), worker, st.integers(0, 127)),
    st.tuples(st.just("deliver"), st.integers(0, SEQS), worker, st.integers(0, 127)),
    st.tuples(st.just("complete"), st.integers(0, 30), worker, st.just(0)),
    st.tuples(st.just("complete"), st.integers(0, 30), worker, st.just(0)),
    st.tuples(st.just("reject"), st.integers(0, 30), worker, st.integers(0, 1)),
    st.tuples(st.just("ack"), st.integers(1, 6), worker, st.integers(1, 4)),
    st.tuples(st.just("find"), seq, publisher, st.integers(0, 11)),
)


def tell(steps: list[Step], *, confirms: bool) -> Story:
    """Turn steps into a history. Attempts count up by themselves; a message keeps its route."""
    story = Story(queues=QUEUES, routes=ROUTES)
    attempts: Counter[tuple[int, int]] = Counter()
    at: dict[tuple[str, int], tuple[int, int]] = defaultdict(lambda: (1, 1))
    """Incarnation and connection of each actor."""
    held: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for what, first, who, extra in steps:
        role = "publisher" if what in ("publish", "confirm", "nack", "return") or "publisher" in what else "worker"
        incarnation, connection = at[role, who]
        here: dict[str, Any] = {"incarnation": incarnation, "connection": connection}
        match what:
            case "publish":
                attempts[who, first] += 1
                attempt = attempts[who, first]
                story.publish(first, by=who, attempt=attempt, confirms=confirms, route=first % len(ROUTES), **here)
            case "confirm" | "nack":
                story.confirm(first, extra, by=who, nack=what == "nack", **here)
            case "return":
                story.returned(first, by=who, attempt=extra, incarnation=incarnation)
            case "publisher lost" | "worker lost":
                story.lose_connection(role, who, **here)
                at[role, who] = (incarnation, connection + 1)
            case "publisher dies" | "worker dies":
                story.exited("publisher" if role == "publisher" else "worker", who, incarnation=incarnation)
                at[role, who] = (incarnation + 1, 1)
                held[who] = [] if role == "worker" else held[who]
            case "wait":
                story.now += 45_000 * MS
            case "deliver":
                of = FOREIGN if first == SEQS and extra & 1 else 1 + (extra >> 1 & 1)
                done, attempt = bool(extra & 4), 1 + (extra >> 3 & extra >> 4 & 1)
                tag = story.deliver(
                    first,
                    to=who,
                    of=of,
                    attempt=attempt,
                    redelivered=bool(extra & 32),
                    corrupt=extra % 16 == 0,
                    done=done,
                    queue=extra >> 6 & 1,
                    **here,
                )
                if not done:
                    held[who].append((first, of, tag, connection))
            case "complete" if held[who]:
                number, of, tag, connection = held[who].pop(first % len(held[who]))
                story.complete(number, tag, to=who, of=of, connection=connection, incarnation=incarnation)
            case "reject" if held[who]:
                number, of, tag, connection = held[who].pop(first % len(held[who]))
                if connection == at[role, who][1]:
                    story.reject(number, tag, to=who, of=of, requeue=bool(extra), **here)
            case "ack":
                story.ack(first, extra, to=who, **here)
            case "find":
                story.find(
                    first, of=who, queue=extra % 3, attempt=1 + extra // 9, corrupt=extra == 4, died=extra % 3 == 2
                )
    return story


def shuffled(story: Story, order: list[int]) -> Story:
    """The same records, those of each log in another order: what a range covers must not depend on it."""
    for rows in story.rows.values():
        settling = [row for row in rows if "arg" in row]
        for place, row in enumerate(settling):
            other = order[place % len(order)] % len(settling) if order else place
            index, to = rows.index(row), rows.index(settling[other])
            rows[index], rows[to] = rows[to], rows[index]
    return story


@settings(max_examples=examples(300))
@given(st.lists(step, max_size=70), st.booleans(), st.lists(st.integers(0, 9), max_size=6))
def test_the_judge_agrees_with_the_oracle(steps: list[Step], confirms: bool, order: list[int]) -> None:
    history = shuffled(tell(steps, confirms=confirms), order).history()
    verdict = judge(history, SCENARIO, name="x")
    oracle = Oracle(history, REACHES, {"tasks": "dead"})
    counts = verdict.counts
    assert {fate: count for fate, count in counts.fates.items() if count} == dict(
        Counter(oracle.fate(*copy) for copy in oracle.copies())
    )
    assert sum(counts.fates.values()) == counts.copies == len(oracle.copies())
    assert counts.published == len(oracle.publishes)
    assert counts.misrouted == oracle.misrouted()
    assert counts.publishes == sum(len(each) for each in oracle.publishes.values())
    assert counts.duplicates == len(oracle.duplicates())
    assert counts.unexplained_duplicates == len(oracle.unexplained())
    assert (counts.phantom, counts.corrupt) == (oracle.phantom(), oracle.corrupt())
    assert counts.out_of_order == oracle.out_of_order()
    promised = {key for key, each in oracle.publishes.items() if any(publish.promised for publish in each)}
    assert verdict.promised == len(promised)
    every = [publish for each in oracle.publishes.values() for publish in each]
    assert counts.confirmed == sum(any(each.confirmed for each in mine) for mine in oracle.publishes.values())
    assert counts.nacked == sum(any(each.nacked for each in mine) for mine in oracle.publishes.values())
    assert counts.returned == sum(any(each.returned for each in mine) for mine in oracle.publishes.values())
    assert counts.unconfirmed == (0 if confirms or not every else len(oracle.publishes))
    assert sum(cause.count for cause in verdict.causes) == counts.fates[Fate.LOST] == len(verdict.lost)
    named = {((int(lost.message.publisher.rpartition("-")[2]), lost.message.seq), lost.queue) for lost in verdict.lost}
    assert named == {copy for copy in oracle.copies() if oracle.fate(*copy) is Fate.LOST}
    for figures in verdict.workers:
        mine = [each for each in oracle.deliveries if each.session[0] == figures.actor]
        assert figures.delivered == len(mine)
        assert figures.processed == sum(each.completed_ns is not None for each in mine)
        assert figures.acked == sum(each.acked for each in mine)
        assert figures.rejected == sum(each.rejected for each in mine)
        assert figures.redelivered == sum(each.redelivered for each in mine)


faulty = st.one_of(
    step,
    st.tuples(st.sampled_from(["kill", "restart", "purge", "close", "pause"]), st.integers(0, 1), worker, st.just(0)),
)


@settings(max_examples=examples(100))
@given(st.lists(faulty, max_size=60), st.booleans(), st.sampled_from(["manual", "automatic", "early"]), st.booleans())
def test_a_cause_does_not_depend_on_what_else_was_lost(
    steps: list[Step], confirms: bool, acks: str, durable: bool
) -> None:
    """Causes are found once for all messages with the same evidence: each must be the one that the message has alone."""
    story = tell([each for each in steps if each[0] not in _FAULTS], confirms=confirms)
    for number, (what, first, who, _) in enumerate(each for each in steps if each[0] in _FAULTS):
        story.now -= story.now * (number + 1) // (len(steps) + 1) // MS * MS  # somewhere in the middle of it all
        match what:
            case "kill" if first:
                story.kill_worker(who, fault=number)
            case "kill" | "restart":
                story.restart_broker(action=what, fault=number)
            case "purge":
                story.fault("purge", "tasks", family="topology", fault=number)
            case _:
                story.fault(what, "n1", family="connection" if what == "close" else "broker", fault=number)
    story.now += 100_000 * MS
    history = story.history()
    of = SCENARIO.model_copy(
        update={
            "queues": SCENARIO.queues | {"other": SCENARIO.queues["other"].model_copy(update={"durable": durable})},
            "workers": tuple(group.model_copy(update={"acks": acks}) for group in SCENARIO.workers),
        }
    )
    seen = tabulate(history, of)
    fates = find_fates(seen, history.events)
    together = find_causes(fates.lost(), seen, history.events)
    assert together.copies.tolist() == fates.of(Fate.LOST).tolist()
    for copy, place in zip(together.copies.tolist(), together.of.tolist(), strict=True):
        only = fates.lost()
        alone = find_causes(only.chosen(only.copy == copy), seen, history.events)
        (cause,) = alone.causes
        assert (cause.place, cause.actor, cause.fault, cause.remedy.text) == (
            together.causes[place].place,
            together.causes[place].actor,
            together.causes[place].fault,
            together.causes[place].remedy.text,
        )


_FAULTS = ("kill", "restart", "purge", "close", "pause")


@settings(max_examples=examples(50))
@given(st.lists(step, max_size=40))
def test_records_in_a_torn_tail_change_nothing(steps: list[Step]) -> None:
    """A log that was cut before its last record is judged as if that had not happened, and never fails."""
    history = tell(steps, confirms=True).history()
    for place, log in enumerate(history.logs):
        cut = (*history.logs[:place], Log(log.header, log.records[:-1]), *history.logs[place + 1 :])
        shorter = type(history)(cut, history.events)
        oracle = Oracle(shorter, REACHES, {"tasks": "dead"})
        verdict = judge(shorter, SCENARIO, name="x")
        assert {fate: count for fate, count in verdict.counts.fates.items() if count} == dict(
            Counter(oracle.fate(*copy) for copy in oracle.copies())
        )
