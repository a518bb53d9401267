"""Whether copies went with a queue that was gone at the end, or found it gone: by the broker's count of what it routed."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.judge import judge
from harness.events import BindingFacts, BrokerLook
from harness.verdict.data import Fate, Place, VariantVerdict
from tests.unit.histories import MS, Story, queue_facts, scenario

SENT = 4
EARLIER = 1000
"""What the broker had counted before the run."""
EXPIRES: dict[str, Any] = {"arguments": {"x-expires": 1000}}
BINDING = BindingFacts(exchange="ex", destination="other", to_exchange=False, routing_key="", arguments={})


def looked(received: int, routed: int) -> dict[str, Any]:
    return {
        "handled": {"n1": {"received": EARLIER + received, "routed": EARLIER + routed}},
        "node_started": {"n1": "0"},
        "own_virtual_host": True,
    }


def judged(
    routed: int, *, received: int = SENT, before: dict[str, Any] | None = None, elsewhere: int = 0, **queues: Any
) -> VariantVerdict:
    """One message done; then three, half a second apart, to a queue that no worker uses any more: the first one surely found it there."""
    declared = queues or {"tasks": EXPIRES}
    story = Story(queues=tuple(declared))
    there = {name: queue_facts(name) for name in declared}
    first = looked(0, 0) | {"queues": tuple(there.values())} | (before or {})
    story.event(BrokerLook, moment="before the traffic", **first)
    story.consume()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    story.lose_connection("worker")
    gone_ns = story.now + 1000 * MS
    for seq, at_ns in ((1, gone_ns - 500 * MS), (2, gone_ns + 50 * MS), (3, gone_ns + 500 * MS)):
        story.now = at_ns
        story.sent(seq)
    for seq in range(SENT, SENT + elsewhere):
        story.confirm(story.publish(seq, route=1))
    story.drained()
    left = tuple(facts for name, facts in there.items() if name != "tasks")
    after = looked(received, routed) | {"queues": left, "exchanges": {"ex": "direct"}}
    story.event(BrokerLook, moment="after the drain", **after)
    return judge(story.history(), scenario(queues=declared), name="guarantee")


def became(found: VariantVerdict) -> dict[str, tuple[int, int]]:
    counts = found.counts
    return {
        fate.value: (counts.least(fate), counts.most(fate))
        for fate in (Fate.LOST, Fate.REMOVED, Fate.EXPIRED)
        if counts.most(fate)
    }


@pytest.mark.parametrize(
    ("routed", "fates"),
    [(4, {"removed": (3, 3)}), (3, {"lost": (0, 1), "removed": (2, 3)}), (2, {"lost": (0, 2), "removed": (1, 3)})],
)
def test_as_many_as_were_not_routed_were_sent_after_the_queue_had_gone(
    routed: int, fates: dict[str, tuple[int, int]]
) -> None:
    found = judged(routed)
    assert became(found) == fates


def test_of_a_queue_that_others_deleted_it_is_known_as_well() -> None:
    found = judged(2, tasks={})
    assert became(found) == {"lost": (2, 2), "removed": (1, 1)}
    assert {cause.place for cause in found.causes} == {Place.EXCHANGE}
    assert [each.message.seq for each in found.lost] == [2, 3]


def test_what_is_missing_from_another_queue_is_not_among_them() -> None:
    found = judged(4, received=5, elsewhere=1, tasks=EXPIRES, other={})
    assert became(found) == {"lost": (1, 2), "removed": (2, 3)}
    assert {(cause.place, cause.count) for cause in found.causes} == {(Place.UNKNOWN, 1)}


@pytest.mark.parametrize(
    "changed",
    [
        {"received": SENT + 1},
        {"received": SENT - 1},
        {"tasks": EXPIRES | {"message_ttl": "10s"}},
        {"before": {"bindings": (BINDING,)}, "tasks": EXPIRES, "other": {}},
        {"tasks": EXPIRES, "routed": 0},
        {"before": {"handled": {}}},
        {"before": {"node_started": {"n1": "earlier"}}},
    ],
)
def test_where_the_count_can_mean_something_else_both_stay_possible(changed: dict[str, Any]) -> None:
    """Others published, or what was sent never came; it may have expired; a binding went; a message was delivered; counts began anew."""
    found = became(judged(**{"routed": 3} | changed))
    assert found.get("lost", (0, 0))[0] == 0
    assert found["removed"][0] < found["removed"][1]
