"""What a program that is not the run's took, purged, held or unbound is not lost, and no broker is accused of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BindingFacts, BrokerLook, BrokerStarted, OthersConnected
from harness.history.records import AckMode
from harness.verdict.data import Fate, Outcome, Place, VariantVerdict
from tests.unit.histories import Story, queue_facts, scenario

STRANGER = "172.17.0.1:60536 -> 172.17.0.4:5672"
ACCUSED = "This is what a fault of the broker itself looks like"
SENT = 5
EARLIER = 1000
DONE = 2
"""Of the messages that were sent; the others are missing."""
MISSING = SENT - DONE


def looks(
    *,
    acknowledged: int = DONE,
    automatic: int = 0,
    rejected: int = 0,
    received: int = SENT,
    routed: int = SENT,
    restarted: bool = False,
    apart_counted: bool = True,
    **after: Any,
) -> list[dict[str, Any]]:
    """What a look after the drain counted beyond the one before it, which counted something already."""
    found: list[dict[str, Any]] = []
    for times in (0, 1):
        apart = {"get_auto_ack": automatic, "consume_manual_ack": acknowledged} if apart_counted else {}
        handled = {"received": received, "routed": routed, "delivered": automatic + acknowledged, **apart}
        found.append(
            {
                "queues": (queue_facts("tasks"),),
                "own_virtual_host": True,
                "dead_lettered": {"n1": {"classic/disabled/rejected": EARLIER + times * rejected}},
                "acknowledged": {"n1": EARLIER + times * acknowledged},
                "handled": {"n1": {name: EARLIER + times * count for name, count in handled.items()}},
                "node_started": {"n1": str(restarted and times)},
            }
        )
    found[1] |= after
    return found


def verdict(
    looked: list[dict[str, Any]],
    *connections: str,
    not_read: str = "",
    logged: bool = True,
    before: dict[str, Any] | None = None,
    struck: bool = False,
    **settings: Any,
) -> VariantVerdict:
    """Of a run of which some messages are missing; `connections` are those of others in the broker's log."""
    story = Story()
    story.event(BrokerLook, moment="before the traffic", **looked[0] | (before or {}))
    for number in range(SENT):
        story.sent(number)
    for number in range(DONE):
        story.process(number)
    if struck:
        story.restart_broker()
    story.event(BrokerLook, moment="after the drain", **looked[1])
    if logged:
        story.event(OthersConnected, connections=connections, not_read=not_read)
    return judge(story.history(), scenario(queues={"tasks": settings}), name="guarantee")


def fates(found: VariantVerdict) -> dict[str, tuple[int, int]]:
    """Return how many copies were not done by fate: the least, and the most."""
    counts, maybe = found.counts.fates, found.counts.possible
    here = {fate: (count - maybe.get(fate, 0), count) for fate, count in counts.items() if count}
    here.pop(Fate.PROCESSED, None)
    return {fate.value: interval for fate, interval in here.items()}


def said(found: VariantVerdict) -> str:
    return " ".join([*(each.sentence for each in found.causes), *(each.sentence for each in found.not_done)])


@pytest.mark.parametrize("counted", [{"automatic": 3}, {"acknowledged": DONE + 3}, {"rejected": 3}])
@pytest.mark.parametrize("stayed", [False, True])
def test_what_the_broker_counted_as_taken_by_others_is_removed_whether_or_not_they_stayed(
    counted: dict[str, Any], stayed: bool
) -> None:
    after: dict[str, Any] = {}
    if stayed:
        after = {"queues": (queue_facts("tasks", foreign_consumers=1),), "foreign_connections": (STRANGER,)}
    found = verdict(looks(**counted, **after), STRANGER)
    assert fates(found) == {"removed": (3, 3)}
    assert said(found) == "3 messages were removed from tasks by a consumer that is not the run's."
    assert found.not_looked_at[0] == "what 1 connection of others did"


def test_deliveries_that_are_not_counted_by_kind_may_have_been_taken() -> None:
    found = verdict(looks(automatic=3, apart_counted=False), STRANGER)
    assert fates(found) == {"removed": (0, 3)}
    assert said(found) == (
        "3 messages may have been removed from tasks by a consumer that is not the run's, or may have been lost."
    )


def test_what_is_missing_beyond_that_may_have_been_purged() -> None:
    found = verdict(looks(acknowledged=DONE + 1), STRANGER)
    assert fates(found) == {"removed": (1, 3)}
    assert said(found) == (
        "2 messages may have been removed from tasks by a program that is not the run's, or may have been lost. "
        "1 message was removed from tasks by a consumer that is not the run's."
    )


def test_a_purge_between_the_looks_is_possible_where_the_log_names_somebody() -> None:
    found = verdict(looks(), STRANGER)
    assert fates(found) == {"removed": (0, 3)}
    assert found.not_looked_at == ("what 1 connection of others did",)
    assert ACCUSED not in said(found)


def test_where_the_log_names_nobody_the_broker_is_accused_whatever_it_counted() -> None:
    found = verdict(looks())
    assert fates(found) == {"lost": (3, 3)}
    assert said(found).endswith(f"{ACCUSED}.")
    counted = verdict(looks(acknowledged=DONE + 3))
    assert fates(counted) == {"lost": (3, 3)}
    assert ACCUSED not in said(counted)


def test_where_no_log_can_be_read_somebody_may_have_been_there() -> None:
    found = verdict(looks(), not_read="the broker's log does not name the clients that connect")
    unknown = "who else was connected between the looks (the broker's log does not name the clients that connect)"
    assert fates(found) == {"lost": (3, 3)}
    assert said(found).endswith(f"Not looked at: {unknown}.")


def test_of_a_broker_that_cannot_be_asked_at_all_that_is_said_once() -> None:
    external = {"not_asked": "it is external"}
    found = verdict([external, external], not_read="the log of an external broker cannot be read")
    assert [each.partition(" (")[0] for each in found.not_looked_at] == [
        "what the broker says of itself before the traffic",
        "what the broker says of itself after the drain",
        "the policies of the broker, which may have dropped or expired messages",
    ]
    assert ACCUSED not in said(found)


def test_of_a_broker_that_serves_others_too_what_was_counted_is_only_possible() -> None:
    story, (before, after) = Story(), looks(acknowledged=2, received=1, routed=1)
    started = story.events[0]
    assert isinstance(started, BrokerStarted)
    story.events[0] = replace(started, backend="compose")
    story.event(BrokerLook, moment="before the traffic", **before)
    story.sent(0)
    story.event(BrokerLook, moment="after the drain", **after)
    story.event(OthersConnected, connections=(STRANGER,))
    assert fates(judge(story.history(), scenario(), name="guarantee")) == {"removed": (0, 1)}


def test_without_a_log_the_counts_speak() -> None:
    assert fates(verdict(looks(acknowledged=DONE + 2), logged=False)) == {"lost": (1, 1), "removed": (2, 2)}


def test_others_may_have_taken_what_they_had_published_themselves() -> None:
    found = verdict(looks(automatic=3, received=SENT + 2), STRANGER)
    assert fates(found) == {"removed": (1, 3)}


def test_counts_that_began_anew_with_a_node_say_nothing_of_others() -> None:
    found = verdict(looks(automatic=3, restarted=True), STRANGER)
    assert fates(found) == {"removed": (0, 3)}


def test_what_a_fault_took_stays_lost_though_somebody_was_connected() -> None:
    found = verdict(looks(), STRANGER, struck=True, durable=False)
    assert fates(found) == {"lost": (3, 3)}
    assert found.causes[0].fault == 0


def test_what_others_took_beyond_what_nothing_else_explains_may_be_what_a_fault_seems_to_have_taken() -> None:
    found = verdict(looks(automatic=2), STRANGER, struck=True, durable=False)
    assert fates(found) == {"lost": (1, 1), "removed": (2, 2)}


def test_a_promise_is_not_called_broken_where_others_were() -> None:
    found = verdict(looks(), STRANGER, struck=True)
    assert fates(found) == {"removed": (0, 3)}
    assert "promise" not in said(found)


def test_what_others_hold_is_stranded() -> None:
    there: dict[str, Any] = {
        "queues": (queue_facts("tasks", unacknowledged=3, foreign_consumers=1),),
        "foreign_connections": ("a",),
    }
    found = verdict(looks(**there))
    assert fates(found) == {"stranded": (3, 3)}
    assert said(found) == "3 messages were held in tasks, unacknowledged, by a consumer that is not the run's."
    assert found.outcome is Outcome.INCONCLUSIVE


def test_what_others_hold_is_not_what_they_took() -> None:
    there: dict[str, Any] = {
        "queues": (queue_facts("tasks", unacknowledged=2, foreign_consumers=1),),
        "foreign_connections": ("a",),
    }
    assert fates(verdict(looks(automatic=1, **there))) == {"removed": (1, 1), "stranded": (2, 2)}


def test_what_others_hold_may_be_their_own() -> None:
    there: dict[str, Any] = {
        "queues": (queue_facts("tasks", unacknowledged=3, foreign_consumers=1),),
        "foreign_connections": ("a",),
    }
    assert fates(verdict(looks(received=SENT + 1, **there))) == {"stranded": (2, 3)}


def test_what_a_worker_of_the_run_holds_is_not_held_by_others() -> None:
    story, (before, after) = Story(), looks(acknowledged=0)
    after["queues"] = (queue_facts("tasks", unacknowledged=1, foreign_consumers=1),)
    story.event(BrokerLook, moment="before the traffic", **before)
    story.sent(0)
    story.sent(1)
    story.consume()
    story.deliver(0)
    story.event(BrokerLook, moment="after the drain", **after)
    found = judge(story.history(), scenario(), name="guarantee")
    assert Fate.STRANDED not in {fate for fate, count in found.counts.fates.items() if count}


def bound(*keys: str) -> tuple[BindingFacts, ...]:
    return tuple(
        BindingFacts(exchange="ex", destination="tasks", to_exchange=False, routing_key=key, arguments={})
        for key in keys
    )


def test_what_was_not_routed_as_others_unbound_its_queue_is_lost_at_the_exchange() -> None:
    exchanges: dict[str, Any] = {"exchanges": {"ex": "topic"}}
    before = {"bindings": bound("a"), **exchanges}
    found = verdict(looks(routed=SENT - 2, bindings=(), **exchanges), STRANGER, before=before)
    assert fates(found) == {"lost": (2, 2), "removed": (0, 1)}
    assert found.causes[0].place is Place.EXCHANGE
    assert "who unbound tasks from ex" in found.not_looked_at
    assert [each.message.seq for each in found.lost] == [3, 4]


@pytest.mark.parametrize("counted", [{}, {"routed": SENT - 3, "received": SENT - 3}])
def test_what_was_routed_or_never_came_was_not_lost_for_want_of_a_binding(counted: dict[str, Any]) -> None:
    exchanges: dict[str, Any] = {"exchanges": {"ex": "topic"}}
    before = {"bindings": bound("a"), **exchanges}
    found = verdict(looks(bindings=(), **counted, **exchanges), STRANGER, before=before)
    assert fates(found) == {"removed": (0, 3)}


def test_a_queue_that_others_deleted_and_declared_again_is_named() -> None:
    (first, second) = (queue_facts("tasks", identity=identity) for identity in ("1", "2"))
    found = verdict(looks(queues=(second,)), before={"queues": (first,)})
    assert found.not_looked_at == ("who deleted the queue tasks and declared it again",)
    anew = verdict(looks(queues=(second,), restarted=True), before={"queues": (first,)})
    assert anew.not_looked_at == ()


def test_others_can_take_everything_where_no_worker_is_there() -> None:
    story, (before, after) = Story(), looks(acknowledged=0, automatic=2, received=2, routed=2)
    story.event(BrokerLook, moment="before the traffic", **before)
    story.sent(0)
    story.sent(1)
    story.event(BrokerLook, moment="after the drain", **after)
    story.event(OthersConnected, connections=(STRANGER,))
    assert fates(judge(story.history(), scenario(), name="guarantee")) == {"removed": (2, 2)}


def test_what_came_back_for_want_of_its_acknowledgement_counts_once_whoever_took_it() -> None:
    story, (before, after) = Story(), looks(acknowledged=3, received=3, routed=3)
    story.event(BrokerLook, moment="before the traffic", **before)
    for number in range(3):
        story.sent(number)
    story.consume(prefetch=5)
    story.process(0)
    story.kill_worker(1)
    story.event(BrokerLook, moment="after the drain", **after)
    story.event(OthersConnected, connections=(STRANGER,))
    assert fates(judge(story.history(), scenario(), name="guarantee")) == {"removed": (2, 2)}


def test_what_the_runs_own_workers_take_automatically_is_not_taken_by_others() -> None:
    story, (before, after) = Story(), looks(acknowledged=0, automatic=3, received=3, routed=3)
    story.event(BrokerLook, moment="before the traffic", **before)
    for number in range(3):
        story.sent(number)
    story.consume(acks=AckMode.AUTOMATIC)
    story.complete(0, story.deliver(0))
    story.event(BrokerLook, moment="after the drain", **after)
    story.event(OthersConnected, connections=(STRANGER,))
    found = judge(story.history(), scenario(workers={"acks": "automatic"}), name="guarantee")
    assert fates(found) == {"removed": (0, 2)}


def test_automatic_acknowledgements_that_nobody_of_the_run_used_are_named() -> None:
    found = verdict(looks(automatic=1))
    assert found.not_looked_at == (
        "who received, with automatic acknowledgements, 1 message that no worker of the run did",
    )


@pytest.mark.parametrize(
    ("counted", "said_of"), [(1, ()), (2, ("who rejected 1 message that no worker of the run did",))]
)
def test_what_a_worker_of_the_run_rejected_was_not_rejected_by_others(counted: int, said_of: tuple[str, ...]) -> None:
    story, (before, after) = Story(), looks(acknowledged=0, rejected=counted)
    story.event(BrokerLook, moment="before the traffic", **before)
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.event(BrokerLook, moment="after the drain", **after)
    assert judge(story.history(), scenario(), name="guarantee").not_looked_at == said_of


def test_a_count_that_the_broker_did_not_list_before_began_at_nothing() -> None:
    before, after = looks(automatic=MISSING)
    del before["handled"]["n1"]["get_auto_ack"]
    after["handled"]["n1"]["get_auto_ack"] = MISSING
    assert fates(verdict([before, after], STRANGER)) == {"removed": (MISSING, MISSING)}


def test_what_others_who_stayed_did_not_take_was_lost_to_the_fault_that_may_have_taken_it() -> None:
    stayed: dict[str, Any] = {
        "queues": (queue_facts("tasks", foreign_consumers=1),),
        "foreign_connections": (STRANGER,),
    }
    found = verdict(looks(automatic=1, **stayed), STRANGER, struck=True, durable=False)
    assert fates(found) == {"lost": (2, 2), "removed": (1, 1)}
