"""An alternate exchange takes over when the queues behind an exchange are gone, and what it leads to is where the messages went."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate, Place, VariantVerdict
from tests.unit.histories import MS, Story, queue_facts, scenario
from tests.unit.told_causes import causes

FIRST, OTHER = 0, 1
SPARE: dict[str, Any] = {
    "exchanges": {"d": {"arguments": {"alternate-exchange": "alt"}}, "alt": {"type": "fanout"}},
    "bindings": [{"exchange": "d", "queue": "first", "routing_key": "k"}, {"exchange": "alt", "queue": "other"}],
    "publishers": {"messages": 10, "exchange": "d", "routing_key": "k"},
    "workers": [{"name": "worker", "queue": "first"}, {"name": "spare", "queue": "other"}],
}
FLEETING = scenario(queues={"first": {"durable": False}, "other": {}}, **SPARE)
DURABLE = scenario(queues={"first": {}, "other": {}}, **SPARE)


def story(**fields: Any) -> Story:
    return Story(queues=("first", "other"), routes=("d/k",), **fields)


def told(of: Story, what: Scenario) -> VariantVerdict:
    return judge(of.history(), what, name="x")


def all_done(found: VariantVerdict, tasks: int) -> bool:
    counts = found.counts
    return (counts.fates[Fate.PROCESSED], counts.copies, counts.misrouted, counts.duplicates) == (tasks, tasks, 0, 0)


def test_what_follows_a_restart_comes_to_the_other_queue() -> None:
    run = story()
    run.sent(0)
    run.process(0, queue=FIRST)
    run.restart_broker()
    run.sent(1)
    run.process(1, to=2, queue=OTHER)
    assert all_done(told(run, FLEETING), 2)


def test_what_was_published_before_cannot_come_to_the_other_queue() -> None:
    run = story()
    run.sent(0)
    run.process(0, to=2, queue=OTHER)
    run.now += 100 * MS
    run.restart_broker()
    found = told(run, FLEETING)
    assert found.counts.misrouted == 1


def test_what_cannot_have_been_put_in_the_first_queue_any_more_is_lost_in_the_other() -> None:
    run = story()
    run.restart_broker()
    run.now += 100 * MS
    run.sent(0)
    run.restart_broker(action="kill", fault=1)
    run.sent(1)
    run.process(1, to=2, queue=OTHER)
    found = told(run, FLEETING)
    assert [(cause.place, cause.fault, cause.count) for cause in found.causes] == [(Place.BROKER, 1, 1)]
    assert found.by_queue["other"][Fate.LOST] == 1


@pytest.mark.parametrize("seen_in", [FIRST, OTHER])
def test_at_the_moment_of_the_end_the_evidence_decides(seen_in: int) -> None:
    run = story()
    run.tick()
    run.fault("restart", "n1", family="broker", lasts_ms=20)
    end_ns = run.now
    run.now -= 10 * MS
    run.sent(0)
    run.now = end_ns
    run.process(0, to=1 + seen_in, queue=seen_in)
    assert all_done(told(run, FLEETING), 1)


def test_what_is_published_again_after_the_end_has_a_copy_in_each() -> None:
    run = story()
    run.publish(0)
    run.tick()
    run.restart_broker()
    run.confirm(run.publish(0, attempt=2, connection=2), connection=2)
    run.process(0, to=2, queue=OTHER, attempt=2)
    assert all_done(told(run, FLEETING), 1)
    run = story()
    run.publish(0)
    run.process(0, queue=FIRST)
    run.restart_broker()
    run.confirm(run.publish(0, attempt=2, connection=2), connection=2)
    run.process(0, to=2, queue=OTHER, attempt=2)
    assert all_done(told(run, FLEETING), 2)


@pytest.mark.parametrize(("asked", "home"), [(True, "n1"), (True, "n2"), (False, "")])
def test_while_the_home_node_of_a_queue_is_down_its_messages_come_to_the_other(*, asked: bool, home: str) -> None:
    run = story(nodes=("n1", "n2"))
    if asked:
        facts = (queue_facts("first", node=home), queue_facts("other", node="n2"))
        run.event(BrokerLook, moment="before the traffic", queues=facts)
    run.fault("kill", "n1", family="broker", lasts_ms=5000)
    end_ns = run.now
    run.now -= 2000 * MS
    run.sent(0)
    run.process(0, to=2, queue=OTHER)
    run.now = end_ns + 5000 * MS
    run.sent(1)
    run.process(1, queue=FIRST)
    found = told(run, DURABLE)
    assert all_done(found, 2) if home != "n2" else found.counts.misrouted == 1


def test_when_a_queue_has_expired_its_messages_come_to_the_other() -> None:
    run = story()
    expiring = scenario(queues={"first": {"arguments": {"x-expires": 1000}}, "other": {}}, **SPARE)
    run.event(BrokerLook, moment="before the traffic", queues=(queue_facts("first"), queue_facts("other")))
    run.sent(0)
    run.now += 2000 * MS
    run.sent(1)
    run.process(1, to=2, queue=OTHER)
    run.drained()
    run.event(BrokerLook, moment="after the drain", queues=(queue_facts("other"),))
    found = told(run, expiring)
    assert (found.counts.fates[Fate.PROCESSED], found.counts.fates[Fate.REMOVED]) == (1, 1)
    assert not found.counts.misrouted
    assert "1 message was removed" in found.not_done[0].sentence


def chained(**queues: dict[str, Any]) -> Scenario:
    """Exchange x, its alternate y, and its alternate z, with a queue each: a, b and c."""
    names = dict(zip("xyz", "abc", strict=True))
    return scenario(
        queues={name: queues.get(name, {}) for name in "abc"},
        exchanges={
            "x": {"type": "fanout", "arguments": {"alternate-exchange": "y"}},
            "y": {"type": "fanout", "arguments": {"alternate-exchange": "z"}},
            "z": {"type": "fanout"},
        },
        bindings=[{"exchange": exchange, "queue": queue} for exchange, queue in names.items()],
        publishers={"messages": 10, "exchange": "x"},
    )


def test_queues_with_one_home_are_away_together() -> None:
    run = Story(queues=("a", "b", "c"), routes=("x/",), nodes=("n1", "n2"))
    facts = (queue_facts("a"), queue_facts("b"), queue_facts("c", node="n2"))
    run.event(BrokerLook, moment="before the traffic", queues=facts)
    run.fault("kill", "n1", family="broker", lasts_ms=5000)
    run.now -= 2000 * MS
    run.sent(0)
    run.process(0, to=2, queue=2)
    assert all_done(told(run, chained()), 1)


def test_queues_that_expire_may_be_gone_each_alone_and_together() -> None:
    expires = {"arguments": {"x-expires": 1000}}
    run = Story(queues=("a", "b", "c"), routes=("x/",))
    run.event(BrokerLook, moment="before the traffic", queues=tuple(map(queue_facts, "abc")))
    for seq, queue in enumerate((0, 1, 2)):
        run.sent(seq)
        run.process(seq, to=1 + queue, queue=queue)
        run.now += 2000 * MS
    run.drained()
    run.event(BrokerLook, moment="after the drain", queues=(queue_facts("c"),))
    assert all_done(told(run, chained(a=expires, b=expires)), 3)


def test_what_nobody_saw_after_something_came_to_the_other_queue_was_led_there_too() -> None:
    """The queue can have expired a second after it was declared; that it had is known when something was seen behind the alternate."""
    run = story()
    run.event(BrokerLook, moment="before the traffic", queues=(queue_facts("first"), queue_facts("other")))
    run.consume(2, queue=OTHER)
    run.sent(0)
    run.now += 2000 * MS
    run.sent(1)
    run.sent(2)
    run.process(2, to=2, queue=OTHER)
    run.sent(3)
    run.now += 5000 * MS
    run.drained()
    run.event(BrokerLook, moment="after the drain", queues=(queue_facts("other"),))
    found = told(run, scenario(queues={"first": {"arguments": {"x-expires": 1000}}, "other": {}}, **SPARE))
    assert found.by_queue["first"][Fate.REMOVED] == 2
    assert (found.by_queue["other"][Fate.PROCESSED], found.by_queue["other"][Fate.LOST]) == (1, 1)


@pytest.mark.parametrize("done", [True, False])
def test_only_the_way_of_an_attempt_that_was_promised_is_promised(*, done: bool) -> None:
    """The first attempt came to the first queue, was never confirmed, and was held there when the broker ended."""
    run = story()
    run.publish(0)
    tag = run.deliver(0, queue=FIRST)
    if done:
        run.complete(0, tag)
    run.restart_broker()
    run.confirm(run.publish(0, attempt=2, connection=2), connection=2)
    run.process(0, to=2, queue=OTHER, attempt=2)
    assert all_done(told(run, FLEETING), 2 if done else 1)


@pytest.mark.parametrize("late", [True, False])
def test_dead_letters_come_to_the_other_queue_after_the_end(*, late: bool) -> None:
    of = SPARE | {"publishers": {"messages": 10, "to": "tasks"}}
    of |= {"workers": [{"name": "worker", "queue": "tasks"}, {"name": "spare", "queue": "other"}]}
    target = {"dead_letter": {"exchange": "d", "routing_key": "k"}}
    what = scenario(queues={"tasks": target, "first": {"durable": False}, "other": {}}, **of)
    run = Story(queues=("tasks", "first", "other"), routes=("tasks",))
    if late:
        run.restart_broker()
        run.now += 1000 * MS
    run.sent(0)
    run.reject(0, run.deliver(0, queue=0))
    run.complete(0, run.deliver(0, to=2, queue=2, died=True), to=2)
    found = told(run, what)
    assert all_done(found, 1) if late else found.counts.misrouted == 1


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ({"to": {"durable": False}}, "exchanges.to.durable: true and queues.tasks.durable: true"),
        (
            {"to": {"arguments": {"alternate-exchange": "alt"}}, "alt": {"durable": False}},
            "queues.tasks.durable: true",
        ),
    ],
)
def test_all_that_did_not_outlast_the_broker_is_named_and_nothing_else(
    exchanges: dict[str, Any], expected: str
) -> None:
    run = Story(routes=("to/key",))
    run.restart_broker()
    run.sent(0)
    run.now += 5000 * MS
    bindings = [{"exchange": "to", "queue": "tasks", "routing_key": "key"}]
    of = scenario(queues={"tasks": {"durable": False}}, exchanges=exchanges, bindings=bindings)
    assert causes(run, of) == {(Place.EXCHANGE, "", 0, expected): 1}
