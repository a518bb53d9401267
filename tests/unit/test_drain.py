"""The drain ends when it is proved that nothing can come any more, and not before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from harness.engine import drain
from harness.engine.counters import Totals
from harness.engine.drain import Drain, DrainResult
from harness.engine.facts import BrokerFacts, Taken
from harness.engine.processes import Processes
from harness.errors import BrokerError
from harness.events import BrokerLook, QueueFacts
from harness.scenario.scenario import Scenario
from harness.traffic.spec import Target
from harness.traffic.topology import Counts
from tests.unit.test_flow import look, queue, scenario

TARGET = Target((("127.0.0.1", 1),), "guest", "guest", client_name="chaos-1-0")
RETRY = {"tasks": {"dead_letter": "retry"}, "retry": {"message_ttl": "1s", "dead_letter": "tasks"}}
EMPTY = Counts(0, 1)


class Run:
    """A run whose processes and broker are as a test says, and change after so many looks."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, written: Scenario | None = None, *, control: bool = True
    ) -> None:
        self.scenario = written or scenario(queues={"tasks": {}}, drain={"quiet": "10ms"})
        self.can_ask = control
        self.before = look(queue("tasks", consumers=1))
        self.counts: list[dict[str, Counts | None] | BrokerError] = [{"tasks": EMPTY}]
        """What passive declares say, one after the other; the last one stays."""
        self.looks: list[Taken] = [Taken(look(queue("tasks", consumers=1)), ("chaos-1-0", "chaos-1-0/worker-1.1"))]
        """What the broker says of itself, one after the other; the last one stays."""
        self.now = Totals(published=10, delivered=10, processed=10, acked=10)
        self.living: tuple[str, ...] = ("worker-1.1",)
        self.coming = True
        self.after_look: Callable[[], None] = lambda: None
        self.asked, self.looked = 0, 0
        run = self

        class Asker:
            def __init__(self, _target: Target) -> None:
                pass

            def ask(self, queues: Sequence[str]) -> Mapping[str, Counts | None]:
                said = run.counts[min(run.asked, len(run.counts) - 1)]
                run.asked += 1
                if isinstance(said, BrokerError):
                    raise said
                return {name: said.get(name, Counts(0, 0)) for name in queues}

            def close(self) -> None:
                pass

        monkeypatch.setattr(drain, "QueueCounts", Asker)
        for name, value in (("BETWEEN_LOOKS_S", 0.001), ("WRITING_S", 0.05), ("SILENCE_S", 0.05)):
            monkeypatch.setattr(drain, name, value)

    # What the drain asks of the processes.

    def totals(self) -> Totals:
        return self.now

    def consumers(self) -> Counter[str]:
        return Counter({"tasks": len(self.living)})

    def running(self) -> tuple[str, ...]:
        return self.living

    def workers_expected(self) -> bool:
        return self.coming

    # What it asks of the broker.

    def first(self) -> BrokerLook:
        return self.before

    def take(self, moment: str, own_consumers: Mapping[str, int], order: Sequence[str]) -> Taken:
        assert moment == "after the drain"
        assert own_consumers == self.consumers()
        self.order = order
        taken = self.looks[min(self.looked, len(self.looks) - 1)]
        self.looked += 1
        self.after_look()
        return taken

    def drain(self) -> DrainResult:
        return Drain(self.scenario, cast("Processes", self), cast("BrokerFacts", self), TARGET, lambda: None).run()

    def left(self) -> str:
        """Drain until the time is over; returns what was left."""
        bounded = self.scenario.drain.model_copy(update={"timeout": 0.3})
        self.scenario = self.scenario.model_copy(update={"drain": bounded})
        found = self.drain()
        assert not found.complete
        assert found.reason.startswith("not drained within 0.3 s: ")
        return found.reason.removeprefix("not drained within 0.3 s: ")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(monkeypatch)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on a broker that says nothing but what AMQP does."""
    return Run(monkeypatch, control=False)


def said(*queues: QueueFacts, connections: tuple[str, ...] = (), **changes: Any) -> Taken:
    return Taken(look(*queues), connections, **changes)


DRAINED = said(queue("tasks"))


def test_two_looks_that_agree_end_the_drain(run: Run) -> None:
    found = run.drain()
    assert found == DrainResult(
        True,
        "the broker has nothing left to deliver to a worker",
        run.looks[0].look,
    )
    assert (run.asked, run.looked) == (1, 1)


def test_a_worker_that_holds_something_is_waited_for_and_the_broker_left_alone(run: Run) -> None:
    run.now = replace(run.now, in_flight=3)
    assert run.left() == "3 deliveries in flight"
    assert (run.asked, run.looked) == (0, 0)


def test_what_is_ready_is_waited_for(run: Run) -> None:
    run.counts = [{"tasks": Counts(2, 1)}, {"tasks": Counts(1, 1)}, {"tasks": EMPTY}]
    assert run.drain().complete
    assert (run.asked, run.looked) == (3, 1)


def expiring(monkeypatch: pytest.MonkeyPatch, expires_ms: int, counts: Counts) -> Run:
    """A run with a queue that expires unless it is asked for, which is looked at four times before it is empty."""
    monkeypatch.setattr(drain, "AFTER_LEASE_S", 0.0)
    queues = {"tasks": {"arguments": {"x-expires": expires_ms}}}
    run = Run(monkeypatch, scenario(queues=queues, drain={"quiet": "10ms", "timeout": "60s"}))
    there: dict[str, Counts | None] = {"tasks": counts}
    run.counts = [there, there, there, there, {"tasks": None}]
    return run


@pytest.mark.parametrize(
    ("expires_ms", "counts", "left_alone"),
    [(150, Counts(2, 0), True), (20_000, Counts(2, 1), False), (3_600_000, Counts(2, 0), False)],
    ids=["unused", "consumed", "longer than the drain"],
)
def test_a_queue_that_expires_when_nobody_asks_for_it_is_left_alone_so_long(
    monkeypatch: pytest.MonkeyPatch, expires_ms: int, counts: Counts, *, left_alone: bool
) -> None:
    run = expiring(monkeypatch, expires_ms, counts)
    begun = time.monotonic()
    assert run.drain().complete
    assert time.monotonic() - begun >= 4 * 0.15 if left_alone else time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("contradiction", "reason"),
    [
        (said(queue("tasks", unacknowledged=1)), "1 unacknowledged in tasks, and no worker holds them"),
        (said(queue("tasks", ready=1)), "1 ready in tasks"),
        (said(queue("tasks", state="down")), "queue tasks does not answer: down"),
        (said(queue("tasks"), unwritten=frozenset({"tasks"})), "queue tasks is still writing"),
        (
            said(queue("tasks"), connections=("chaos-1-0/worker-1.1", "chaos-1-0/worker-2.1")),
            "the broker has not noticed the end of a connection of worker-2.1",
        ),
        (
            said(queue("tasks"), connections=("chaos-1-0/worker-1.1", "chaos-1-0/worker-1.1")),
            "the broker has not noticed the end of a connection of worker-1.1",
        ),
    ],
)
def test_an_empty_queue_is_not_enough(run: Run, contradiction: Taken, reason: str) -> None:
    run.looks = [contradiction]
    run.looks = [contradiction, DRAINED]
    assert run.drain().look == DRAINED.look
    run.looks = [contradiction]
    assert run.left() == reason


def test_what_a_worker_is_sent_between_the_looks_is_waited_for(run: Run) -> None:
    def send() -> None:
        run.now = replace(run.now, delivered=run.now.delivered + (run.looked == 1))

    run.after_look = send
    assert run.drain().complete
    assert run.looked == 2


def test_what_is_held_for_a_target_that_leads_to_a_worker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, scenario(queues=RETRY))
    run.looks = [said(queue("tasks", held=2), queue("retry"))]
    assert run.left() == "2 held for dead-lettering in tasks"


def test_what_is_held_for_a_target_that_leads_nowhere_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {}}))
    run.looks = [said(queue("tasks", held=80), queue("dead", ready=20))]
    assert run.drain().complete


def test_messages_of_a_delay_queue_are_in_transit_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, scenario(queues=RETRY))
    run.counts = [{"tasks": EMPTY, "retry": Counts(300, 0)}]
    assert run.left() == "300 in transit in retry"


def test_queues_are_asked_before_those_that_they_lead_to(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = {"tasks": {}, "parking": {"message_ttl": "1s", "dead_letter": "tasks"}}
    run = Run(monkeypatch, scenario(queues=queues, publishers={"messages": 10, "to": "parking"}))
    run.looks = [said(queue("tasks"), queue("parking"))]
    assert run.drain().complete
    assert tuple(run.order) == ("parking",)


def test_what_a_consumer_of_somebody_else_holds_is_not_waited_for(run: Run) -> None:
    run.looks = [said(queue("tasks", unacknowledged=7, consumers=2, foreign_consumers=1))]
    assert run.drain().complete


def test_a_queue_that_is_gone_holds_nothing(run: Run) -> None:
    run.counts, run.looks = [{"tasks": None}], [said()]
    assert run.drain().complete


def test_no_worker_that_could_come_ends_the_drain_once_every_end_is_noticed(run: Run) -> None:
    run.coming, run.living = False, ()
    run.counts = [{"tasks": Counts(4, 0)}]
    held = said(queue("tasks", ready=3, unacknowledged=1))
    run.looks = [held, said(queue("tasks", ready=4))]
    assert run.drain() == DrainResult(False, "no worker is left: 4 ready in tasks", run.looks[1].look)
    assert run.looked == 2


def test_quorum_queues_that_do_not_say_whether_they_have_written_are_given_time(run: Run) -> None:
    run.looks = [said(queue("tasks"), may_be_unwritten=frozenset({"tasks"}))]
    assert run.drain().complete
    assert run.looked > 1


def test_a_broker_that_does_not_answer_is_asked_until_the_time_is_over(run: Run) -> None:
    run.counts = [BrokerError("no connection to 127.0.0.1:1"), {"tasks": EMPTY}]
    assert run.drain().complete
    run.counts = [BrokerError("no connection to 127.0.0.1:1")]
    assert run.left() == "no connection to 127.0.0.1:1"


def test_a_scenario_without_workers_has_nothing_to_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, scenario(workers=()))
    assert run.drain() == DrainResult(True, "no workers: nothing to drain")


def test_without_workers_what_moves_by_itself_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = {"tasks": {"message_ttl": "100ms", "dead_letter": "dead"}, "dead": {}}
    run = Run(monkeypatch, scenario(queues=queues, publishers={"messages": 10, "to": "tasks"}, workers=()))
    run.living, run.coming, run.now = (), False, Totals(published=10)
    run.looks = [said(queue("tasks"), queue("dead", ready=10))]
    run.counts = [{"tasks": Counts(7, 0)}, {"tasks": Counts(3, 0)}, {"tasks": Counts(0, 0)}]
    assert run.drain() == DrainResult(True, "the broker has nothing left to deliver to a worker", run.looks[0].look)
    assert (run.asked, run.looked) == (3, 1)
    run.counts = [{"tasks": Counts(7, 0)}]
    assert run.left() == "7 in transit in tasks"


# Where only AMQP can be asked.

COUNTED = "the queues are empty, and the broker has noticed the end of every consumer"


def test_as_many_consumers_as_workers_are_a_proof(counting: Run) -> None:
    assert counting.drain() == DrainResult(True, COUNTED)
    assert (counting.asked, counting.looked) == (2, 0)


def test_a_look_that_fails_is_made_up_for_by_amqp(run: Run) -> None:
    run.looks = [Taken(replace(look(), not_asked="rabbitmqctl failed on n1"))]
    assert run.drain() == DrainResult(True, COUNTED)


def test_consumers_that_were_there_before_are_counted(counting: Run) -> None:
    counting.before = look(queue("tasks", consumers=1, foreign_consumers=1))
    counting.counts = [{"tasks": Counts(0, 2)}]
    assert counting.drain() == DrainResult(True, COUNTED)


def test_an_end_that_the_broker_has_not_noticed_is_waited_for(counting: Run) -> None:
    counting.counts = [{"tasks": Counts(0, 2)}, {"tasks": Counts(1, 1)}, {"tasks": EMPTY}]
    assert counting.drain() == DrainResult(True, COUNTED)
    assert counting.asked == 4


def test_silence_has_to_do_where_consumers_are_unknown_and_that_is_said(counting: Run) -> None:
    counting.counts = [{"tasks": Counts(0, 3)}]
    found = counting.drain()
    assert found.complete
    assert found.reason.startswith("the queues are empty and nothing has happened for 0.")
    assert found.reason.endswith(
        "but tasks has 3 consumers, of which 1 of living workers and 0 of others before the traffic are known"
    )


def test_second_answers_that_differ_are_no_proof(counting: Run) -> None:
    counting.counts = [{"tasks": EMPTY}, {"tasks": Counts(1, 1)}, {"tasks": EMPTY}]
    assert counting.drain().complete
    assert counting.asked == 4


def test_quorum_queues_are_given_time_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, scenario(queues={"tasks": {"type": "quorum"}}), control=False)
    assert run.drain() == DrainResult(True, COUNTED)
    assert run.asked > 2
