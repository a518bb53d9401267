"""What copies seem to have died of, held against the broker's counters and the order of the queue: shown, possible, or another end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.checks.rules.counted import Counters
from harness.checks.rules.happenings import Happenings
from harness.checks.rules.stays import NO_ARRIVALS, Arrivals
from harness.checks.rules.taken import Reason, Taken
from harness.checks.rules.weigh import InDoubt, weigh
from harness.checks.tally.message_table import tabulate
from harness.checks.tally.times import NEVER
from harness.events import BrokerLook, QueueFacts
from harness.history.records import AckMode
from tests.unit.histories import MS, Story, queue_facts, scenario

NONE, TTL, LENGTH, LIMIT, CYCLE, PURGED, HELD, TAKEN = (
    Reason.NONE,
    Reason.TTL,
    Reason.LENGTH,
    Reason.DELIVERY_LIMIT,
    Reason.CYCLE,
    Reason.PURGED,
    Reason.HELD,
    Reason.TAKEN,
)
EXPIRED, MAXLEN = "classic/disabled/expired", "classic/disabled/maxlen"
A_PURGE = 0


def group(
    rows: Sequence[int],
    reason: Reason = TTL,
    *,
    queue: str = "tasks",
    may_expire: Sequence[int] = (),
    purged: Sequence[int] = (),
    arrivals: Arrivals = NO_ARRIVALS,
) -> InDoubt:
    """Copies in doubt: of them `may_expire` may have expired as well, and `purged` may have been purged as well."""
    places = np.array(rows, dtype=np.int64)
    purge = np.where(np.isin(places, purged), A_PURGE, -1)
    everywhere, nowhere = np.full(len(places), True), np.full(len(places), False)
    return InDoubt(queue, reason, arrivals, places, np.isin(places, may_expire), purge, purge < 0, everywhere, nowhere)


def weighed(
    reasons: Sequence[Reason],
    *groups: InDoubt,
    queues: Mapping[str, Mapping[str, object]] | None = None,
    possible: Sequence[int] = (),
    standing: Sequence[int] = (),
    counted: Mapping[str, int] | None = None,
    facts: Sequence[QueueFacts] | None = None,
    story: Story | None = None,
    **look: Any,
) -> Taken:
    """Missing copies that were sent and confirmed: `counted` is what the broker counted during the run, None if it does not count."""
    declared = queues or {"tasks": {"message_ttl": "1s"}, "second": {"message_ttl": "1s"}}
    size = len(reasons)
    taken = Taken.nothing(np.arange(size))
    taken.reason[:], taken.queue[:] = reasons, standing or 0
    taken.possible[list(possible)] = True
    story = story or Story(queues=tuple(declared))
    for seq in range(size):
        story.sent(seq)
    nodes = {} if counted is None else {"n1": dict.fromkeys(counted, 0)}
    story.event(BrokerLook, moment="before the traffic", dead_lettered=nodes, node_started={"n1": "once"})
    nodes = {} if counted is None else {"n1": dict(counted)}
    there = tuple(map(queue_facts, declared) if facts is None else facts)
    fields: dict[str, Any] = {"dead_lettered": nodes, "node_started": {"n1": "once"}, "queues": there} | look
    story.event(BrokerLook, moment="after the drain", **fields)
    history = story.history()
    table = tabulate(history, scenario(queues=declared))
    counters, happened = Counters(taken.copy, table, history.events), Happenings(table, history.events)
    weigh(taken, groups, counters, happened, table, maybe_gone=np.zeros(size, dtype=bool))
    return taken


def ends(found: Taken) -> list[Reason]:
    return [Reason(each) for each in found.reason]


def only_possible(found: Taken) -> list[int]:
    return np.flatnonzero(found.possible).tolist()


# Held against the counters.


def test_as_many_as_were_counted_are_shown() -> None:
    found = weighed([TTL] * 3, group([0, 1, 2]), possible=[0, 2], counted={EXPIRED: 3})
    assert ends(found) == [TTL] * 3
    assert only_possible(found) == []


def test_what_the_counters_do_not_show_stays_possible() -> None:
    """Copies of a stranger may be among those that were counted."""
    found = weighed(
        [TTL] * 3, group([0, 1, 2]), possible=[0, 2], counted={EXPIRED: 3}, foreign_connections=("somebody",)
    )
    assert ends(found) == [TTL] * 3
    assert only_possible(found) == [0, 2]


def test_the_certain_ones_count_before_the_possible_ones() -> None:
    story = Story(queues=("tasks", "second"))
    story.publish(9)  # never confirmed: it may be the third that expired
    found = weighed([TTL] * 3, group([0, 1, 2]), possible=[0, 1], counted={EXPIRED: 3}, story=story)
    assert only_possible(found) == [1]


def test_copies_beyond_the_count_are_lost() -> None:
    found = weighed([TTL] * 4, group([0, 1, 2, 3]), counted={EXPIRED: 2})
    assert ends(found) == [TTL, TTL, NONE, NONE]
    assert only_possible(found) == []


def test_possible_ones_are_the_first_to_be_lost() -> None:
    found = weighed([TTL] * 3, group([0, 1, 2]), possible=[0], counted={EXPIRED: 2})
    assert ends(found) == [NONE, TTL, TTL]
    assert only_possible(found) == []


def test_without_counters_nothing_is_decided() -> None:
    found = weighed([TTL] * 3, group([0, 1, 2]), possible=[1])
    assert ends(found) == [TTL] * 3
    assert only_possible(found) == [1]


def test_each_reason_has_its_own_count() -> None:
    declared: dict[str, dict[str, object]] = {
        "tasks": {"type": "quorum", "max_length": 9},
        "second": {"type": "quorum", "message_ttl": "1s"},
    }
    groups = (group([0, 1], LENGTH), group([2, 3], queue="second"), group([4, 5], LIMIT))
    counts = {"quorum/disabled/maxlen": 0, "quorum/disabled/expired": 1, "quorum/disabled/delivery_limit": 1}
    found = weighed([LENGTH, LENGTH, TTL, TTL, LIMIT, LIMIT], *groups, queues=declared, counted=counts)
    assert ends(found) == [NONE, NONE, TTL, NONE, LIMIT, NONE]


def test_each_pool_of_queues_has_its_own_count() -> None:
    declared: dict[str, dict[str, object]] = {
        "tasks": {"message_ttl": "1s"},
        "second": {"type": "quorum", "message_ttl": "1s"},
    }
    groups = (group([0, 1]), group([2, 3], queue="second"))
    counts = {EXPIRED: 2, "quorum/disabled/expired": 1}
    assert ends(weighed([TTL] * 4, *groups, queues=declared, counted=counts)) == [TTL, TTL, TTL, NONE]


def test_queues_of_a_pool_share_its_count() -> None:
    groups = (group([0, 1]), group([2, 3], queue="second"))
    found = weighed([TTL] * 4, *groups, standing=[0, 0, 1, 1], counted={EXPIRED: 3})
    assert ends(found) == [TTL, TTL, TTL, NONE]


# A copy that seems to have died several times.


def test_one_that_was_lost_before_its_first_death_explains_several_that_were_not_counted() -> None:
    """Either copy 0 never died, or it died once and another one did not."""
    groups = (group([0, 1]), group([0, 2], queue="second"))
    found = weighed([TTL] * 3, *groups, counted={EXPIRED: 2})
    assert ends(found) == [NONE, TTL, TTL]
    assert only_possible(found) == [2]


def test_one_that_was_lost_on_its_way_stood_where_it_seems_to_have_died_first() -> None:
    groups = (group([0, 1]), group([0, 2], queue="second"))
    found = weighed([TTL] * 3, *groups, standing=[1, 0, 1], counted={EXPIRED: 2})
    assert found.queue.tolist() == [0, 0, 1]


def test_as_many_are_possible_as_may_be_lost_beside_those_that_surely_are() -> None:
    groups = (group([0, 1, 2, 3]), group([0, 1], queue="second"), group([0], queue="third"))
    declared: dict[str, dict[str, object]] = {name: {"message_ttl": "1s"} for name in ("tasks", "second", "third")}
    for count, reasons, possible in (
        (7, [TTL] * 4, []),
        (6, [NONE, TTL, TTL, TTL], []),
        (5, [NONE, TTL, TTL, TTL], [1]),
        (4, [NONE, TTL, TTL, TTL], [1, 3]),
        (3, [NONE, NONE, TTL, TTL], [2, 3]),
        (2, [NONE, NONE, TTL, TTL], [2, 3]),
        (1, [NONE, NONE, TTL, NONE], [2]),
        (0, [NONE] * 4, []),
    ):
        found = weighed([TTL] * 4, *groups, queues=declared, counted={EXPIRED: count})
        assert (ends(found), only_possible(found)) == (reasons, possible), count


@pytest.mark.parametrize(("lost_in", "possible"), [(0, []), (1, [3])])
def test_one_that_is_known_to_be_lost_is_the_first_that_did_not_die(lost_in: int, possible: list[int]) -> None:
    """If it was lost behind this queue, it may have died here: then another one did not die."""
    queues = {"tasks": {"message_ttl": "1s", "dead_letter": "second"}, "second": {}}
    found = weighed(
        [NONE, TTL, TTL, TTL],
        group([0, 1, 2, 3]),
        counted={"classic/at_most_once/expired": 3},
        queues=queues,
        standing=[lost_in, 0, 0, 0],
    )
    assert ends(found) == [NONE, TTL, TTL, TTL]
    assert only_possible(found) == possible


def test_what_need_not_have_come_to_a_queue_is_lost_before_what_surely_came() -> None:
    """Nobody else is to be accused of it."""
    found = weighed([LENGTH] * 4, group(range(4), LENGTH), counted={MAXLEN: 2}, possible=[0, 1])
    assert ends(found) == [NONE, NONE, LENGTH, LENGTH]


# What outgrew a length.


BOTH: dict[str, dict[str, object]] = {"tasks": {"max_length": 2, "message_ttl": "1s"}}


def test_what_was_not_counted_as_dropped_may_have_expired() -> None:
    found = weighed(
        [LENGTH] * 3, group([0, 1, 2], LENGTH, may_expire=[1, 2]), queues=BOTH, counted={MAXLEN: 1, EXPIRED: 2}
    )
    assert ends(found) == [LENGTH, TTL, TTL]


def test_what_expired_instead_went_on_like_what_was_dropped() -> None:
    """Its queue leads back to where it had died before: there the broker drops it as a cycle, whatever it died of."""
    queues: dict[str, dict[str, object]] = {
        "tasks": {"message_ttl": "1s", "max_length": 3, "dead_letter": "second"},
        "second": {"message_ttl": "1s", "dead_letter": "tasks"},
    }
    of = group([0, 1], LENGTH, may_expire=[0, 1])
    pool = "classic/at_most_once"
    found = weighed([CYCLE, CYCLE], of, queues=queues, counted={f"{pool}/maxlen": 1, f"{pool}/expired": 1})
    assert ends(found) == [CYCLE, CYCLE]


def test_what_was_counted_neither_as_dropped_nor_as_expired_is_lost() -> None:
    found = weighed(
        [LENGTH] * 3, group([0, 1, 2], LENGTH, may_expire=[1, 2]), queues=BOTH, counted={MAXLEN: 1, EXPIRED: 1}
    )
    assert ends(found) == [LENGTH, TTL, NONE]


def test_what_was_not_counted_as_dropped_and_whose_time_was_not_over_is_lost() -> None:
    found = weighed(
        [LENGTH] * 3, group([0, 1, 2], LENGTH, may_expire=[0]), queues=BOTH, counted={MAXLEN: 1, EXPIRED: 9}
    )
    assert ends(found) == [TTL, LENGTH, NONE]


def test_what_did_not_expire_instead_may_have_been_purged() -> None:
    doubt = group([0, 1], LENGTH, may_expire=[0, 1], purged=[0])
    found = weighed([LENGTH] * 2, doubt, queues=BOTH, counted={MAXLEN: 0, EXPIRED: 0})
    assert ends(found) == [PURGED, NONE]


def test_a_queue_that_refuses_has_not_counted_what_it_refused() -> None:
    declared: dict[str, dict[str, object]] = {"tasks": {"max_length": 1, "overflow": "reject-publish"}}
    found = weighed([LENGTH] * 2, group([0, 1], LENGTH), queues=declared, counted={MAXLEN: 0})
    assert ends(found) == [LENGTH] * 2


FIVE_CAME = Arrivals.of(np.arange(5) * 10, np.arange(5) * 10 + 1, np.array([NEVER] * 5))


@pytest.mark.parametrize(
    ("settings", "possible"),
    [
        ({"max_length": 2}, [3]),
        ({"max_length": 5}, [0, 1, 2, 3]),
        ({"max_length": 2, "message_ttl": "1s"}, [0, 1, 2, 3]),
        ({"type": "quorum", "arguments": {"x-max-length-bytes": 1000}}, [0, 1, 2, 3]),
        ({"max_length": 2, "overflow": "reject-publish"}, []),
    ],
    ids=["surely too many", "they fitted in", "some may have expired", "of unknown size", "refused"],
)
def test_as_many_as_a_length_must_have_taken_are_shown(settings: dict[str, object], possible: list[int]) -> None:
    found = weighed([LENGTH] * 4, group([0, 1, 2, 3], LENGTH, arrivals=FIVE_CAME), queues={"tasks": settings})
    assert ends(found) == [LENGTH] * 4
    assert only_possible(found) == possible


def test_what_may_have_been_on_its_way_to_consumers_was_not_dropped_for_sure() -> None:
    delivered = np.array([60, NEVER, NEVER, NEVER, NEVER])
    doubt = group([0, 1, 2, 3], LENGTH, arrivals=Arrivals.of(FIVE_CAME.came_ns, FIVE_CAME.sure_ns, delivered))
    story = Story()
    story.consume(prefetch=1, acks=AckMode.MANUAL)
    limited: dict[str, dict[str, object]] = {"tasks": {"max_length": 2}}
    assert only_possible(weighed([LENGTH] * 4, doubt, queues=limited)) == [3]
    assert only_possible(weighed([LENGTH] * 4, doubt, queues=limited, story=story)) == [2, 3]


def three_and_three(story: Story) -> Arrivals:
    """Three came before now, and three come later; none of them left."""
    came = np.concatenate([story.now + np.arange(3), story.now + 100 * MS + np.arange(3)])
    return Arrivals.of(came, came + 1, np.full(6, NEVER))


@pytest.mark.parametrize(
    ("action", "target", "durable", "possible"),
    [
        ("", "", True, []),
        ("kill", "n1", False, [2, 3, 4]),
        ("purge", "tasks", True, [4]),
        ("purge", "second", True, []),
    ],
    ids=["nothing", "the queue went, and what came later went nowhere", "the queue was emptied", "another queue was"],
)
def test_what_something_else_took_was_not_dropped(
    action: str, target: str, *, durable: bool, possible: list[int]
) -> None:
    story = Story(queues=("tasks", "second"))
    came = three_and_three(story)
    if action:
        story.now += 10 * MS
        story.fault(action, target, family="broker" if action == "kill" else "topology")
    limited = {"tasks": {"max_length": 1, "durable": durable}, "second": {}}
    found = weighed([LENGTH] * 5, group(range(5), LENGTH, arrivals=came), queues=limited, story=story)
    assert only_possible(found) == possible


@pytest.mark.parametrize(("before_s", "possible"), [(2, [2, 3, 4]), (0.5, [0, 1, 2, 3, 4])])
def test_what_came_shortly_before_the_home_of_its_queue_went_need_not_have_been_dropped(
    before_s: float, possible: list[int]
) -> None:
    """In a cluster, where others go on publishing meanwhile."""
    story = Story(queues=("tasks",), nodes=("n1", "n2"))
    story.now += 5000 * MS
    came = three_and_three(story)
    story.now += round(before_s * 1000) * MS
    story.restart_broker()
    limited: dict[str, dict[str, object]] = {"tasks": {"max_length": 4 if before_s > 1 else 1}}
    found = weighed([LENGTH] * 5, group(range(5), LENGTH, arrivals=came), queues=limited, story=story)
    assert only_possible(found) == possible


def test_what_must_have_been_dropped_counts_once_for_a_queue() -> None:
    """Of those that were given back to it, and of the others."""
    groups = group([0, 1], LENGTH, arrivals=FIVE_CAME), group([2, 3], LENGTH, arrivals=FIVE_CAME)
    found = weighed([LENGTH] * 4, *groups, queues={"tasks": {"max_length": 2}})
    assert only_possible(found) == [3]


@pytest.mark.parametrize(("nodes", "possible"), [(("n1",), [4]), (("n1", "n2"), [2, 3, 4])])
def test_what_was_dropped_before_the_only_node_of_a_broker_began_to_count_anew_is_added(
    nodes: tuple[str, ...], possible: list[int]
) -> None:
    """Two of three were dropped before that; of the three that nobody knows to have come later, two were counted."""
    story = Story(queues=("tasks",), nodes=nodes)
    came = three_and_three(story)
    early = np.arange(6) < 3
    came_ns = np.where(early, came.came_ns, came.came_ns + 3000 * MS)
    arrivals = Arrivals.of(came_ns, np.where(early, came.sure_ns, NEVER), came.left_ns)
    story.now += 2000 * MS
    story.restart_broker()
    found = weighed(
        [LENGTH] * 5,
        group(range(5), LENGTH, arrivals=arrivals),
        queues={"tasks": {"max_length": 1}},
        counted={MAXLEN: 2},
        story=story,
        node_started={"n1": "again"},
    )
    assert only_possible(found) == possible


REFUSES: dict[str, object] = {"max_length": 2, "overflow": "reject-publish"}


def test_a_purge_took_what_the_broker_says_of_those_that_a_full_queue_seems_to_have_refused() -> None:
    """And then the others were refused: nothing else can have taken them."""
    story = Story(queues=("tasks",))
    doubt = group(range(4), LENGTH, purged=range(4))
    story.fault("purge", "tasks", family="topology", taken=2)
    safe = replace(doubt, safe=np.ones(4, dtype=bool))
    found = weighed([LENGTH] * 4, safe, queues={"tasks": REFUSES}, possible=range(4), story=story)
    assert (ends(found), only_possible(found)) == ([LENGTH, LENGTH, PURGED, PURGED], [])


@pytest.mark.parametrize(("safe", "possible"), [(True, []), (False, [0])])
def test_what_a_full_queue_refused_is_shown_where_nothing_else_can_have_taken_it(
    safe: bool, possible: list[int]
) -> None:
    doubt = replace(group([0, 1], LENGTH), safe=np.full(2, safe))
    found = weighed([LENGTH] * 2, doubt, queues={"tasks": REFUSES}, possible=[0])
    assert (ends(found), only_possible(found)) == ([LENGTH] * 2, possible)


def test_more_than_seem_to_have_expired_did_if_the_broker_counted_more() -> None:
    declared = {"tasks": REFUSES | {"message_ttl": "1s"}}
    doubt = group(range(4), LENGTH, may_expire=range(4))
    found = weighed([LENGTH] * 4, doubt, queues=declared, counted={EXPIRED: 3}, possible=[1, 2, 3])
    assert (ends(found), only_possible(found)) == ([LENGTH, TTL, TTL, TTL], [])


def test_what_seems_to_be_lost_and_was_counted_as_expired_expired() -> None:
    """A stranger may have held it for a while."""
    story = Story(queues=("tasks", "second"))
    story.now += 5000 * MS
    found = weighed([TTL, NONE, NONE], group([0]), counted={EXPIRED: 2}, story=story)
    assert (ends(found), only_possible(found)) == ([TTL, TTL, NONE], [])


def test_what_a_queue_that_refuses_dropped_when_its_node_came_back_was_counted_then() -> None:
    groups = group([0, 1], Reason.RECOVERY), group([2, 3], LENGTH)
    declared = {"tasks": REFUSES}
    story = Story(queues=("tasks",))
    story.restart_broker()
    reasons = [Reason.RECOVERY] * 2 + [LENGTH] * 2
    again = {"n1": "again"}
    found = weighed(reasons, *groups, queues=declared, story=story, counted={MAXLEN: 1}, node_started=again)
    assert (ends(found), only_possible(found)) == ([Reason.RECOVERY] * 2 + [LENGTH] * 2, [1])


# Somebody else's consumers.


def test_without_counters_somebody_else_may_have_taken_what_seems_to_have_expired() -> None:
    groups = (group([0, 1]), group([2], queue="second"))
    found = weighed(
        [TTL] * 3,
        *groups,
        standing=[1, 1, 1],
        facts=[queue_facts("tasks", foreign_consumers=1), queue_facts("second")],
    )
    assert ends(found) == [TAKEN, TAKEN, TTL]
    assert found.queue.tolist() == [0, 0, 1]
    assert only_possible(found) == [0, 1]


def test_somebody_else_took_what_was_not_counted() -> None:
    doubt = group([0, 1, 2], purged=[1])
    facts = [queue_facts("tasks", foreign_consumers=1)]
    found = weighed([TTL] * 3, doubt, standing=[1, 1, 1], counted={EXPIRED: 1}, facts=facts)
    assert ends(found) == [TTL, PURGED, TAKEN]
    assert found.queue.tolist() == [1, 0, 0]


# A purge.


def purge_of(count: int | None) -> Story:
    """A purge of `tasks`, with the number of messages that it took; None if the broker does not say."""
    story = Story(queues=("tasks", "second"))
    story.fault("purge", "tasks", family="topology", fault=A_PURGE, taken=count)
    return story


def test_a_purge_may_have_taken_what_was_not_counted() -> None:
    found = weighed(
        [TTL] * 3, group([0, 1, 2], purged=[0, 2]), standing=[1, 1, 1], counted={EXPIRED: 1}, story=purge_of(None)
    )
    assert ends(found) == [PURGED, TTL, PURGED]
    assert found.fault.tolist() == [A_PURGE, -1, A_PURGE]
    assert found.queue.tolist() == [0, 1, 0]
    assert only_possible(found) == [0, 2]


def test_no_more_than_a_purge_took_went_with_it_and_the_youngest_did() -> None:
    found = weighed([TTL] * 3, group([0, 1, 2], purged=[0, 1]), counted={EXPIRED: 2}, story=purge_of(1))
    assert ends(found) == [TTL, PURGED, TTL]
    assert only_possible(found) == []


def test_a_purge_that_is_known_to_have_taken_others_is_no_reason_for_one_to_be_missing() -> None:
    """The purge took one, which outgrew no length; then it did not take one of those that seem to have expired."""
    outgrown = group([0], LENGTH, purged=[0])
    expired = replace(group([1, 2, 3], purged=[1]), safe=np.full(3, True))
    found = weighed(
        [LENGTH, TTL, TTL, TTL], outgrown, expired, queues=BOTH, counted={MAXLEN: 0, EXPIRED: 2}, story=purge_of(1)
    )
    assert ends(found) == [PURGED, TTL, TTL, NONE]


def test_what_is_beyond_one_purge_went_with_that_of_a_queue_which_it_passed() -> None:
    """Two purges took one copy each, and both copies can have gone with either."""
    story = purge_of(1)
    story.fault("purge", "second", family="topology", fault=1, taken=1)
    first, second = group([0, 1], purged=[0, 1]), replace(group([0, 1], purged=[0, 1]), queue="second")
    second = replace(second, purge=np.array([1, 1]))
    found = weighed([TTL] * 2, first, second, standing=[1, 1], counted={EXPIRED: 0}, story=story)
    assert ends(found) == [PURGED, PURGED]
    assert sorted(found.fault.tolist()) == [0, 1]
    assert only_possible(found) == []


def test_what_a_limit_an_expiry_and_a_purge_took_are_told_apart_by_their_counts() -> None:
    """One copy can have gone in each of the three ways, and each way was gone once."""
    doubt = group([0, 1, 2], LENGTH, may_expire=[0, 1, 2], purged=[0, 1, 2])
    found = weighed([LENGTH] * 3, doubt, queues=BOTH, counted={MAXLEN: 1, EXPIRED: 1}, story=purge_of(1))
    assert sorted(ends(found)) == [TTL, LENGTH, PURGED]


def test_a_purge_may_have_taken_what_is_lost_by_another_count() -> None:
    """What is lost for one group may have been purged for the next."""
    found = weighed([NONE, NONE, TTL], group([0, 1, 2], purged=[1, 2]))
    assert ends(found) == [NONE, PURGED, TTL]
    assert found.fault.tolist() == [-1, A_PURGE, -1]
    assert only_possible(found) == [1]


# What is held for a target that refuses it.


def test_as_many_are_shown_to_be_held_as_the_broker_holds() -> None:
    facts = [queue_facts("tasks", held=1), queue_facts("second", held=2)]
    found = weighed([HELD] * 5, standing=[0, 1, 0, 1, 0], possible=range(5), facts=facts)
    assert only_possible(found) == [2, 4]


def test_as_many_more_as_left_their_queue_after_the_look_are_possibly_held() -> None:
    found = weighed([HELD] * 3, facts=[queue_facts("tasks", ready=1, held=2)])
    assert ends(found) == [HELD] * 3
    assert only_possible(found) == [2]


def test_what_else_may_be_held_is_not_shown_to_be_missing() -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(9)
    story.complete(9, story.deliver(9))
    story.lose_connection("worker")
    assert only_possible(weighed([HELD] * 2, possible=[0, 1], facts=[queue_facts("tasks", held=2)], story=story)) == [1]


def test_what_is_lost_is_not_only_possibly_so() -> None:
    found = weighed([NONE, TTL], possible=[0, 1])
    assert only_possible(found) == [1]
