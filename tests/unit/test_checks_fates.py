"""Every fate, every cause, every outcome, told as the story of a message."""

from __future__ import annotations

import pytest

from harness.checks.judge import judge
from harness.events import BrokerLook, CutOff, Note, ProcessExited
from harness.scenario.scenario import Scenario
from harness.verdict.data import Fate, Outcome, Place, VariantVerdict
from tests.unit.histories import FOREIGN, MS, Story, queue_facts, scenario


def verdict(story: Story, of: Scenario | None = None) -> VariantVerdict:
    return judge(story.history(), of or scenario(), name="guarantee")


def fates(found: VariantVerdict) -> dict[str, int]:
    return {fate.value: count for fate, count in found.counts.fates.items() if count}


def test_confirmed_and_completed_is_processed() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    assert fates(verdict(story)) == {"processed": 1}


def test_delivered_but_not_completed_is_not_processed() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    found = verdict(story)
    assert fates(found) == {"lost": 1}
    assert found.outcome is Outcome.VIOLATED


def test_never_confirmed_and_processed_is_recovered() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    story.process(0)
    assert fates(verdict(story)) == {"recovered": 1}


def test_never_confirmed_and_not_processed_was_never_promised() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    found = verdict(story)
    assert fates(found) == {"never promised": 1}
    assert found.counts.indeterminate == 1


def test_nacked_and_processed_is_resurrected() -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    story.process(0)
    assert fates(verdict(story)) == {"resurrected": 1}


def test_a_return_and_then_an_ack_is_no_promise() -> None:
    story = Story()
    tag = story.publish(0)
    story.returned(0)
    story.confirm(tag)
    found = verdict(story)
    assert fates(found) == {"never promised": 1}
    assert found.counts.returned == 1


def test_a_later_attempt_that_is_confirmed_makes_the_promise() -> None:
    story = Story()
    story.publish(0)
    story.lose_connection("publisher")
    story.confirm(story.publish(0, attempt=2, connection=2), connection=2)
    assert fates(verdict(story)) == {"lost": 1}


def test_sent_without_confirms_is_a_promise_too() -> None:
    story = Story()
    story.publish(0, confirms=False)
    assert fates(verdict(story)) == {"lost": 1}


def test_found_in_a_work_queue_is_stranded_and_not_lost() -> None:
    story = Story()
    story.sent(0)
    story.find(0)
    found = verdict(story)
    assert fates(found) == {"stranded": 1}
    assert found.outcome is Outcome.INCONCLUSIVE


def test_found_in_the_dead_letter_queue_is_dead_lettered() -> None:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    story.find(0, queue=1, died=True)
    found = verdict(story, scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {}}))
    assert fates(found) == {"dead-lettered": 1}


def test_rejected_without_a_dead_letter_queue_is_dropped() -> None:
    story = Story()
    story.sent(0)
    story.reject(0, story.deliver(0))
    assert fates(verdict(story)) == {"dropped": 1}


def test_rejected_with_a_dead_letter_queue_and_not_there_is_lost() -> None:
    story = Story(queues=("tasks", "dead"))
    story.sent(0)
    story.reject(0, story.deliver(0))
    found = verdict(story, scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {}}))
    assert fates(found) == {"lost": 1}


def test_ranges_settle_every_tag_they_cover_and_no_other() -> None:
    story = Story()
    for seq in range(6):
        story.publish(seq)
    story.confirm(4, 2)
    story.confirm(1, 2)
    found = verdict(story)
    assert found.counts.confirmed == 4
    assert found.counts.indeterminate == 2


def test_a_confirm_for_a_tag_that_was_never_used_settles_nothing() -> None:
    story = Story()
    story.publish(0)
    story.confirm(7, 3)
    assert verdict(story).counts.confirmed == 0


def test_tags_of_another_connection_settle_nothing_here() -> None:
    story = Story()
    story.publish(0, connection=1)
    story.confirm(1, connection=2)
    assert verdict(story).counts.confirmed == 0


# Duplicates, phantoms, corruption, order.


def test_processed_twice_without_a_reason_is_unexplained() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.process(0, to=2)
    found = verdict(story)
    assert (found.counts.duplicates, found.counts.unexplained_duplicates) == (1, 1)
    assert found.outcome is Outcome.VIOLATED
    assert [anomaly.kind for anomaly in found.anomalies] == ["duplicate"]


def test_a_message_of_nobody_is_a_phantom() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.process(5, of=FOREIGN)
    found = verdict(story)
    assert found.counts.phantom == 1
    assert found.outcome is Outcome.VIOLATED


def test_a_sequence_number_that_was_skipped_is_a_phantom() -> None:
    story = Story()
    story.sent(0)
    story.sent(2)
    for seq in (0, 1, 2):
        story.process(seq)
    found = verdict(story)
    assert found.counts.phantom == 1
    assert found.counts.published == 2


def test_a_corrupt_body_is_told_even_when_it_was_processed() -> None:
    story = Story()
    story.sent(0)
    story.complete(0, story.deliver(0, corrupt=True))
    found = verdict(story)
    assert found.counts.corrupt == 1
    assert found.outcome is Outcome.VIOLATED


def test_work_on_another_body_than_was_published_is_not_done() -> None:
    story = Story()
    for seq in range(2):
        story.sent(seq)
    tag = story.deliver(0, corrupt=True)
    story.complete(0, tag)
    story.ack(tag)
    story.process(1)
    found = verdict(story)
    assert fates(found) == {"lost": 1, "processed": 1}
    assert found.workers[0].processed == 2
    assert [cause.sentence for cause in found.causes] == [
        "1 message was lost at worker-1: what it was sent is not what was published. "
        "This is what a fault of the broker itself looks like."
    ]


def test_what_came_intact_after_it_had_come_corrupt_is_done_once() -> None:
    story = Story()
    story.sent(0)
    story.complete(0, story.deliver(0, corrupt=True))
    story.lose_connection("worker")
    tag = story.deliver(0, connection=2, redelivered=True)
    story.complete(0, tag, connection=2)
    story.ack(tag, connection=2)
    found = verdict(story)
    assert fates(found) == {"processed": 1}
    assert (found.counts.corrupt, found.counts.duplicates) == (1, 0)


def test_what_came_corrupt_and_was_lost_in_its_queue_has_that_cause() -> None:
    """The worker had not done it when its node was killed."""
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.deliver(0, corrupt=True)
    story.restart_broker()
    found = verdict(story)
    assert [cause.setting for cause in found.causes] == ["publishers.persistent: true"]


def out_of_order() -> Story:
    """Of six messages, 2 overtakes 1, and 4 and 5 overtake 3, which is requeued."""
    story = Story()
    for seq in range(6):
        story.sent(seq)
    for seq in (0, 2, 1):
        story.process(seq)
    story.reject(3, story.deliver(3), requeue=True)
    for seq in (4, 5):
        story.process(seq)
    story.process(3, redelivered=True)
    return story


def test_order_counts_what_came_back_to_its_queue() -> None:
    assert verdict(out_of_order()).counts.out_of_order == 3


@pytest.mark.parametrize(
    ("order", "holds", "observed"),
    [
        (True, False, "3 out of order"),
        (False, True, "3 out of order"),
        ({"ignore": "redelivered"}, False, "1 out of order"),
        ({"ignore": "redelivered", "kept": False}, True, "1 out of order"),
    ],
)
def test_order_leaves_out_what_came_back_where_it_is_told_to(order: object, holds: bool, observed: str) -> None:
    (result,) = (
        each for each in verdict(out_of_order(), scenario(expect={"order": order})).expectations if each.path == "order"
    )
    assert (result.holds, result.observed) == (holds, observed)


# Causes.


def cause_of(found: VariantVerdict) -> tuple[Place, int | None, str]:
    (cause,) = found.causes
    return cause.place, cause.fault, cause.setting


def test_automatic_acks_lose_what_the_killed_worker_held() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.kill_worker()
    found = verdict(story, scenario(workers={"count": 2, "acks": "automatic"}))
    assert cause_of(found) == (Place.WORKER, 0, "workers.acks: manual")
    assert found.faults[0].at_risk == 1
    assert "worker-1" in found.headline


def test_automatic_acks_lose_what_was_on_its_way_to_the_killed_worker() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.sent(1)
    story.deliver(1)
    story.sent(2)
    story.kill_worker()
    found = verdict(story, scenario(workers={"count": 1, "acks": "automatic"}))
    assert found.counts.fates[Fate.LOST] == 2
    assert {cause.place for cause in found.causes} == {Place.WORKER}


def test_an_early_ack_loses_what_was_not_done() -> None:
    story = Story()
    story.sent(0)
    story.ack(story.deliver(0))
    story.kill_worker()
    found = verdict(story, scenario(workers={"count": 2, "acks": "early"}))
    assert cause_of(found) == (Place.WORKER, 0, "workers.acks: manual")


def test_a_restart_takes_transient_messages_from_the_broker() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker()
    found = verdict(story, scenario(publishers={"messages": 1, "persistent": False}))
    assert cause_of(found) == (Place.BROKER, 0, "publishers.persistent: true")


def test_a_restart_takes_a_queue_that_is_not_durable_and_what_is_sent_after_it() -> None:
    story = Story()
    story.sent(0)
    story.restart_broker()
    story.sent(1)
    found = verdict(story, scenario(queues={"tasks": {"durable": False}}))
    assert {(cause.place, cause.fault, cause.setting) for cause in found.causes} == {
        (Place.BROKER, 0, "queues.tasks.durable: true"),
        (Place.EXCHANGE, 0, "queues.tasks.durable: true"),
    }


def test_both_settings_are_named_when_both_are_missing() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    story.restart_broker()
    found = verdict(story, scenario(queues={"tasks": {"durable": False}}))
    assert cause_of(found)[2] == "queues.tasks.durable: true and publishers.persistent: true"


def test_a_kill_takes_what_was_in_the_socket_without_confirms() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.process(0)
    story.publish(1, confirms=False)
    story.restart_broker(action="kill")
    story.lose_connection("publisher")
    found = verdict(story, scenario(publishers={"messages": 2, "confirms": False}))
    assert cause_of(found) == (Place.PUBLISHER, 0, "publishers.confirms: true")


def test_a_message_before_one_that_arrived_had_reached_the_broker() -> None:
    story = Story()
    story.publish(0, confirms=False)
    story.publish(1, confirms=False)
    story.process(1)
    story.restart_broker(action="kill")
    story.lose_connection("publisher")
    found = verdict(story, scenario(publishers={"messages": 2, "confirms": False}))
    assert cause_of(found) == (Place.BROKER, 0, "publishers.confirms: true")


def test_confirmed_persistent_durable_and_gone_is_a_broken_promise() -> None:
    story = Story()
    story.sent(0)
    story.restart_broker(action="kill")
    found = verdict(story)
    assert cause_of(found)[0] is Place.BROKER
    assert "broke its promise" in found.causes[0].sentence


def test_lost_with_no_fault_at_all_is_unknown() -> None:
    story = Story()
    story.sent(0)
    assert cause_of(verdict(story))[:2] == (Place.UNKNOWN, None)


def test_a_message_to_no_queue_was_dropped_by_the_exchange() -> None:
    story = Story(queues=("nowhere/",))
    story.sent(0)
    found = verdict(story, scenario(exchanges={"nowhere": {}}, publishers={"messages": 1, "exchange": "nowhere"}))
    assert cause_of(found)[:2] == (Place.EXCHANGE, None)


def test_what_a_purge_took_is_removed() -> None:
    story = Story()
    story.sent(0)
    story.fault("purge", "tasks", family="topology")
    found = verdict(story)
    assert fates(found) == {"removed": 1}
    assert found.faults[0].taken == 1


@pytest.mark.parametrize(("taken", "found"), [(2, {"removed": 2, "lost": 1}), (0, {"lost": 3}), (3, {"removed": 3})])
def test_a_purge_took_no_more_than_the_broker_says(taken: int, found: dict[str, int]) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    story.fault("purge", "tasks", family="topology", taken=taken)
    said = verdict(story)
    assert fates(said) == found
    assert (said.faults[0].taken, said.faults[0].at_risk) == (found.get("removed", 0), taken)
    assert {lost.fault for lost in said.lost} <= {None}


@pytest.mark.parametrize(
    ("taken", "found", "each"),
    [
        ((1, 2), {"removed": 3}, [1, 2]),
        ((2, 1), {"removed": 3}, [2, 1]),
        ((1, 1), {"removed": 2, "lost": 1}, [1, 1]),
        ((0, 3), {"removed": 3}, [0, 3]),
    ],
)
def test_what_a_purge_did_not_take_the_next_one_may_have(
    taken: tuple[int, int], found: dict[str, int], each: list[int]
) -> None:
    story = Story()
    for seq in range(3):
        story.sent(seq)
    for number, count in enumerate(taken):
        story.fault("purge", "tasks", family="topology", fault=number, taken=count)
    said = verdict(story)
    assert fates(said) == found
    assert [fault.taken for fault in said.faults] == each


def test_a_later_purge_takes_nothing_that_was_overtaken_before() -> None:
    story = Story()
    story.sent(0)
    story.fault("purge", "tasks", family="topology", fault=0, taken=0)
    story.sent(1)
    story.process(1)
    story.fault("purge", "tasks", family="topology", fault=1, taken=1)
    assert fates(verdict(story)) == {"lost": 1, "processed": 1}


@pytest.mark.parametrize(("earlier_ms", "fate"), [(0, "removed"), (1, "lost")])
def test_a_later_purge_that_begins_as_it_is_overtaken_may_have_taken_it(earlier_ms: int, fate: str) -> None:
    story = Story()
    story.sent(0)
    story.fault("purge", "tasks", family="topology", fault=0, taken=0)
    story.sent(1)
    story.now += 10 * MS
    at_ns = story.now
    story.fault("purge", "tasks", family="topology", fault=1, taken=1)  # it begins at the next tick
    story.now = at_ns - earlier_ms * MS
    story.process(1)
    story.now += 10 * MS
    assert fates(verdict(story)) == {fate: 1, "processed": 1}


def test_a_later_purge_of_another_queue_took_nothing_of_this_one() -> None:
    story = Story(queues=("tasks", "second"))
    story.sent(0)
    story.fault("purge", "tasks", family="topology", fault=0, taken=0)
    story.fault("purge", "second", family="topology", fault=1, taken=1)
    assert fates(verdict(story, scenario(queues={"tasks": {}, "second": {}}))) == {"lost": 1}


def test_a_run_that_was_cut_off_before_everything_was_sent_proves_nothing() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    said = "the time limit of 3 s ended the traffic before everything was sent"
    story.event(Note, message="something else")
    assert verdict(story).outcome is Outcome.AS_EXPECTED
    story.event(CutOff, message=said)
    found = verdict(story)
    assert (found.outcome, found.reasons) == (Outcome.INCONCLUSIVE, (said,))
    assert found.notes == ("something else",)
    assert found.headline == f"1 task: 1 done without any fault; inconclusive: {said}"


def test_a_run_that_promised_nothing_proves_nothing_unless_it_says_so() -> None:
    story = Story()
    story.confirm(story.publish(0), nack=True)
    assert verdict(story).outcome is Outcome.INCONCLUSIVE
    assert verdict(story).reasons == ("nothing was promised: the broker took no message",)
    assert verdict(story, scenario(expect={"nacked": 1})).outcome is Outcome.AS_EXPECTED
    assert verdict(story, scenario(expect={"nacked": ">= 0"})).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("taken", [0, 1])
def test_a_purge_takes_what_stood_there_at_any_moment_of_it(taken: int) -> None:
    """The broker purges at some moment of the step; what was published and overtaken during it was there, or was not."""
    story = Story()
    story.sent(0)
    at_ns = story.now
    story.fault("purge", "tasks", family="topology", taken=taken, lasts_ms=100)
    story.now = at_ns + 20 * MS
    story.sent(1)
    story.process(1)
    story.now = at_ns + 200 * MS
    assert fates(verdict(story)) == {"removed" if taken else "lost": 1, "processed": 1}


@pytest.mark.parametrize(
    ("rejected", "restarted", "fate", "possible"),
    [(False, False, "expired", 0), (False, True, "expired", 1), (True, False, "expired", 0), (True, True, "lost", 0)],
)
def test_a_copy_that_a_death_put_there_may_have_been_lost_before_it_expired_unless_it_is_known_when_it_came(
    rejected: bool, restarted: bool, fate: str, possible: int
) -> None:
    """Its sibling shows that the message died, long after its publish: where the restart came, its time was not up yet."""
    of = scenario(
        queues={
            "tasks": {"dead_letter": {"exchange": "fan"}, "message_ttl": "1h"},
            "seen": {},
            "unseen": {"message_ttl": "1s"},
        },
        exchanges={"fan": {"type": "fanout"}},
        bindings=[{"exchange": "fan", "queue": "seen"}, {"exchange": "fan", "queue": "unseen"}],
        workers=[{"name": "worker", "queue": "tasks"}, {"name": "undertaker", "queue": "seen"}],
    )
    story = Story(queues=("tasks", "seen", "unseen"))
    story.confirm(story.publish(0, persistent=False))
    story.now += 4000 * MS
    if rejected:
        story.reject(0, story.deliver(0))
    tag = story.deliver(0, to=2, queue=1, died=True)
    story.complete(0, tag, to=2)
    story.ack(tag, to=2)
    if restarted:
        story.restart_broker()
    story.now += 5000 * MS
    found = verdict(story, of)
    assert fates(found) == {"processed": 1, fate: 1}
    assert sum(found.counts.possible.values()) == possible


# Outcomes.


def test_nothing_at_risk_proves_nothing() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    found = verdict(story)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "at risk" in found.reasons[0]


def test_a_control_that_had_no_fair_chance_is_inconclusive_and_not_violated() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    assert verdict(story, scenario(expect={"lost": ">= 1"})).outcome is Outcome.INCONCLUSIVE


def test_a_control_that_shows_no_loss_though_something_was_at_risk_is_violated() -> None:
    story = Story()
    story.sent(0)
    story.deliver(0)
    story.kill_worker()
    story.process(0, to=2, redelivered=True)
    assert verdict(story, scenario(expect={"lost": ">= 1"})).outcome is Outcome.VIOLATED


def test_no_drain_is_an_interrupted_run() -> None:
    story = Story()
    story.sent(0)
    assert judge(story.history(end=False), scenario(), name="x").outcome is Outcome.INTERRUPTED


def test_a_process_that_died_by_itself_is_infrastructure() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    story.event(ProcessExited, role="worker", actor="worker-1", incarnation=1, exit_code=1, cause="unexpected")
    assert verdict(story).outcome is Outcome.INFRASTRUCTURE


def test_nothing_published_is_inconclusive() -> None:
    assert verdict(Story()).outcome is Outcome.INCONCLUSIVE


def test_an_expected_error_must_occur() -> None:
    story = Story()
    story.sent(0)
    story.process(0)
    wanted = scenario(expect={"errors": {"code": 406, "text": "PRECONDITION_FAILED"}})
    assert verdict(story, wanted).outcome is Outcome.VIOLATED
    story = Story()
    story.sent(0)
    story.process(0)
    story.error(406, "PRECONDITION_FAILED - inequivalent arg")
    assert verdict(story, wanted).outcome is Outcome.AS_EXPECTED


def test_round_robin_is_strict() -> None:
    def dealt(order: str) -> Outcome:
        story = Story()
        for seq in range(len(order)):
            story.sent(seq)
        for seq, worker in enumerate(order):
            story.process(seq, to=int(worker))
        return verdict(story, scenario(expect={"round_robin": True})).outcome

    assert dealt("12121") is Outcome.AS_EXPECTED
    assert dealt("12112") is Outcome.VIOLATED
    assert dealt("11111") is Outcome.VIOLATED


def test_the_loss_rate_has_an_upper_bound() -> None:
    story = Story()
    for seq in range(100):
        story.sent(seq)
        story.process(seq)
    found = verdict(story)
    assert found.loss_rate_below == pytest.approx(0.0295, abs=0.0001)


def test_what_was_dealt_is_held_against_what_was_processed() -> None:
    def outcome(dealt: list[list[str]]) -> Outcome:
        story = Story()
        for seq in range(3):
            story.sent(seq)
        for seq, worker in enumerate((2, 1, 2)):
            story.process(seq, to=worker)
        wanted = scenario(publishers={"tasks": ["one", "two", "three"]}, expect={"dealt": dealt})
        return verdict(story, wanted).outcome

    assert outcome([["one", "three"], ["two"]]) is Outcome.AS_EXPECTED
    assert outcome([["one", "two"], ["three"]]) is Outcome.VIOLATED


@pytest.mark.parametrize("mandatory", [True, False])
def test_what_is_sent_after_its_queue_has_expired_is_lost_at_the_exchange(*, mandatory: bool) -> None:
    """The queue is there for a second after its worker has gone; that it went is known by what came back."""
    story = Story(queues=("tasks",))
    story.event(BrokerLook, moment="before the traffic", queues=(queue_facts("tasks"),))
    story.consume()
    story.sent(0)
    story.process(0)
    story.kill_worker()
    story.lose_connection("worker")
    gone_ns = story.now + 1000 * MS
    for seq, at_ns in ((1, gone_ns - 500 * MS), (2, gone_ns + 50 * MS), (4, gone_ns + 500 * MS)):
        if seq == 4 and mandatory:
            story.publish(3, mandatory=True)
            story.returned(3)
        story.now = at_ns
        story.sent(seq)
    story.drained()
    story.event(BrokerLook, moment="after the drain", queues=())
    found = verdict(story, scenario(queues={"tasks": {"arguments": {"x-expires": 1000}}}))
    removed, possible = found.counts.fates[Fate.REMOVED], found.counts.possible
    lost = found.counts.fates[Fate.LOST]
    assert (removed, possible.get(Fate.REMOVED, 0), lost) == ((2, 1, 1) if mandatory else (3, 2, 0))
    if mandatory:
        (cause,) = found.causes
        assert cause.setting == "publishers.mandatory: true (or queues.tasks without x-expires)"
