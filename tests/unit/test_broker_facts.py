"""What a broker says of itself, on every version, and what is said where it cannot be asked."""

from __future__ import annotations

from typing import cast

import pytest

from harness.broker.abilities import abilities
from harness.broker.protocol import Broker, ControlResult
from harness.engine.facts import BrokerFacts
from harness.errors import BrokerError
from harness.events import BindingFacts, BrokerLook, QueueFacts
from harness.history.events_io import from_line, to_line
from harness.scenario.topology import Queue
from harness.traffic import topology
from harness.traffic.spec import Target
from tests.unit.broker_answers import ANSWERS

COUNTED = ("3.10.8", "4.0.5", "4.3.6")
STRANGE = 'we"ird\\ ünï 💥'


class Answering:
    """A broker of one node that answers as given; it is called by its backend."""

    nodes = ("n1",)

    def __init__(self, answer: ControlResult, backend: str = "native") -> None:
        self.name = backend
        self.abilities = abilities(backend, {})
        self.asked: list[str] = []
        self._answer = answer

    def alive(self, node: int = 0) -> bool:  # noqa: ARG002
        return True

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 0.0) -> ControlResult:  # noqa: ARG002
        self.asked += arguments
        return self._answer


def facts(broker: Answering, *, client_name: str = "chaos-1f2e3d-0", own: bool = True) -> BrokerFacts:
    target = Target((("127.0.0.1", 1),), "guest", "guest", client_name=client_name)
    return BrokerFacts(
        cast("Broker", broker), target, {"tasks": Queue(), "dead": Queue()}, variant="guarantee", own=own
    )


def look(version: str, *, client_name: str = "chaos-1f2e3d-0", own: bool = True) -> BrokerLook:
    taken = facts(Answering(ControlResult(0, ANSWERS[version], "")), client_name=client_name, own=own)
    return taken.take("before the traffic", {}).look


def queue(found: BrokerLook, name: str) -> QueueFacts:
    return next(each for each in found.queues if each.name == name)


@pytest.mark.parametrize("version", ANSWERS)
def test_queues_are_known_with_their_counts(version: str) -> None:
    found = look(version)
    assert found.not_asked == ""
    assert {each.name for each in found.queues} - {"s"} == {"tasks", "dead", "q", "q2", STRANGE}
    tasks, q2 = queue(found, "tasks"), queue(found, "q2")
    assert (tasks.type, tasks.durable, tasks.node, tasks.state) == ("classic", True, "rabbit@h", "running")
    assert (q2.type, q2.durable, q2.node, q2.state) == ("quorum", True, "rabbit@h", "running")
    assert (tasks.unacknowledged, tasks.consumers, tasks.foreign_consumers) == (5, 2, 1)
    assert (q2.ready, q2.unacknowledged, q2.held, q2.consumers, q2.foreign_consumers) == (4, 3, 0, 1, 0)
    assert queue(found, "dead").ready == 2
    assert queue(found, STRANGE).ready == 0


@pytest.mark.parametrize("version", ANSWERS)
def test_arguments_keep_their_kinds(version: str) -> None:
    arguments = queue(look(version), "tasks").arguments
    assert arguments["x-max-length"] == 50
    assert arguments["x-dead-letter-exchange"] == ""
    assert arguments["x-dead-letter-routing-key"] == "dead"


def test_a_policy_and_an_operator_policy_are_known() -> None:
    by_policy, by_operator, by_none = (queue(look(version), "tasks") for version in ("3.10.8", "4.3.6", "4.0.5"))
    assert (by_policy.policy_name, by_policy.operator_policy_name) == ("p1", "")
    assert by_policy.policy == {"max-length": 20, "message-ttl": 100000}
    assert (by_operator.policy_name, by_operator.operator_policy_name) == ("", "op")
    assert by_operator.policy == {"max-length": 20}
    assert (by_none.policy_name, by_none.operator_policy_name, by_none.policy) == ("", "", {})


@pytest.mark.parametrize("version", COUNTED)
def test_what_waits_for_a_target_that_refuses_is_held_and_not_ready(version: str) -> None:
    held = queue(look(version), "q")
    assert (held.ready, held.unacknowledged, held.held) == (0, 0, 5)


@pytest.mark.parametrize(("version", "says"), [("3.8.9", False), ("3.10.8", False), ("4.0.5", True), ("4.3.6", True)])
def test_a_quorum_queue_says_from_4_0_on_whether_it_has_written_what_it_took(version: str, says: bool) -> None:
    taken = facts(Answering(ControlResult(0, ANSWERS[version], ""))).take("after the drain", {})
    assert taken.unwritten == frozenset()
    assert taken.may_be_unwritten == (frozenset() if says else {"q", "q2"})


@pytest.mark.parametrize("version", ANSWERS)
def test_exchanges_and_bindings_are_known(version: str) -> None:
    found = look(version)
    assert found.exchanges == {"x": "topic", "y": "fanout"}
    assert found.alternate_exchanges == {"x": "y"}
    to_queue, to_exchange = sorted(found.bindings, key=lambda binding: binding.to_exchange)
    assert (to_queue.exchange, to_queue.destination, to_queue.routing_key) == ("x", "tasks", "a.*")
    assert (to_queue.arguments["foo"], to_queue.arguments["bar"]) == (1, True)
    assert to_exchange == BindingFacts(exchange="x", destination="y", to_exchange=True, routing_key="k.#", arguments={})


@pytest.mark.parametrize("version", ANSWERS)
def test_clients_that_are_not_the_runs_are_foreign(version: str) -> None:
    (foreign,) = look(version).foreign_connections
    assert ":5672" in foreign
    everyone = look(version, client_name="chaos-1f2e3d-1")
    assert {foreign, "chaos-1f2e3d-0/worker-1.1"} == set(everyone.foreign_connections)
    assert queue(everyone, "tasks").foreign_consumers == 2
    assert queue(everyone, "q2").foreign_consumers == 1


def test_a_virtual_host_is_not_the_runs_own_where_somebody_else_is_connected_or_may_be() -> None:
    assert not look("4.0.5").own_virtual_host
    assert not look("4.0.5", own=False).own_virtual_host


@pytest.mark.parametrize("version", COUNTED)
def test_what_a_node_threw_away_is_counted_by_reason(version: str) -> None:
    counts = look(version).dead_lettered["rabbit@h"]
    assert counts["quorum/at_least_once/expired"] == 5
    assert counts["classic/at_most_once/maxlen"] > 0
    assert counts["classic/disabled/rejected"] == 0


@pytest.mark.parametrize(("version", "counts"), [("3.8.9", {}), *((each, {"rabbit@h": 17}) for each in COUNTED)])
def test_a_node_counts_the_acknowledgements_that_it_took(version: str, counts: dict[str, int]) -> None:
    assert look(version).acknowledged == counts


@pytest.mark.parametrize("version", COUNTED)
def test_a_node_counts_what_it_received_routed_and_sent_with_automatic_acknowledgements(version: str) -> None:
    apart = {"consume_auto_ack": 0, "consume_manual_ack": 17, "get_auto_ack": 11, "get_manual_ack": 0}
    apart = dict.fromkeys(apart, 0) if version == "3.10.8" else apart
    counts = {"received": 90, "routed": 85, "delivered": 28, **apart}
    assert look(version).handled == {"rabbit@h": counts}
    assert look("3.8.9").handled == {}


@pytest.mark.parametrize("version", ANSWERS)
def test_each_queue_has_an_identity_of_its_own(version: str) -> None:
    identities = [each.identity for each in look(version).queues]
    assert all(identities)
    assert len(set(identities)) == len(identities)


def entered(name: str) -> str:
    who = f"127.0.0.1:1 -> 127.0.0.1:2{name and ' - '}{name}"
    return f"2026-11-30 13:30:18+00:00 [info] <0.1.0> connection {who}: user 'u' authenticated and granted access to vhost '/'\n"


def test_who_else_connected_is_known_from_the_logs() -> None:
    taker = facts(Answering(ControlResult(0, "", "")))
    found = taker.others({"n1": entered("chaos-1f2e3d-0") + entered("") + entered("theirs")})
    assert (found.connections, found.not_read) == (("127.0.0.1:1 -> 127.0.0.1:2", "theirs"), "")
    assert found.variant == "guarantee"
    assert from_line(to_line(found)) == found


def test_where_the_logs_do_not_say_who_connected_the_reason_is_known() -> None:
    taker = facts(Answering(ControlResult(0, "", ""), backend="external"))
    assert taker.others({}).not_read == "the log of an external broker cannot be read"
    assert taker.others({"n1": "quiet\n"}).not_read == "the broker's log does not name the clients that connect"


def test_a_broker_that_does_not_count_says_nothing() -> None:
    assert look("3.8.9").dead_lettered == {}


@pytest.mark.parametrize("version", ANSWERS)
def test_a_node_is_known_by_its_start(version: str) -> None:
    assert look(version).node_started["rabbit@h"].isdigit()


@pytest.mark.parametrize("version", ANSWERS)
def test_a_look_is_kept_with_the_runs_events(version: str) -> None:
    found = look(version)
    assert from_line(to_line(found)) == found


def test_what_is_flushed_is_looked_at_in_the_same_call() -> None:
    broker = Answering(ControlResult(0, ANSWERS["4.0.5"], ""))
    taken = facts(broker)
    taken.flush()
    taken.begin()
    assert len(taken.first().queues) == 6
    assert broker.asked[::2] == ["eval"]
    assert "mnesia" in broker.asked[1]


AMQP = {"tasks": topology.Counts(7, 3), "dead": None}


def counted(monkeypatch: pytest.MonkeyPatch, broker: Answering) -> BrokerLook:
    monkeypatch.setattr(topology, "counts", lambda _target, queues: {name: AMQP[name] for name in queues})
    return facts(broker).take("after the drain", {"tasks": 2}).look


def test_a_broker_that_cannot_be_asked_says_what_amqp_does(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Answering(ControlResult(0, "", ""), "external")
    found = counted(monkeypatch, broker)
    assert broker.asked == []
    assert found.not_asked == "rabbitmqctl cannot be run on an external broker"
    assert not found.own_virtual_host
    (tasks,) = found.queues
    assert (tasks.name, tasks.ready, tasks.consumers, tasks.foreign_consumers) == ("tasks", 7, 3, 1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ControlResult(1, "", "Error:\nno such function"), "rabbitmqctl failed on n1: Error: no such function"),
        (ControlResult(0, '"g2o="', ""), "the broker's answer could not be understood: ValueError"),
    ],
)
def test_a_look_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, answer: ControlResult, why: str) -> None:
    found = counted(monkeypatch, Answering(answer))
    assert found.not_asked.startswith(why)
    assert [each.ready for each in found.queues] == [7]


def test_a_broker_that_answers_nothing_at_all_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_target: object, _queues: object) -> object:
        raise BrokerError("no connection to 127.0.0.1:1")

    monkeypatch.setattr(topology, "counts", gone)
    found = facts(Answering(ControlResult(0, "", ""), "external")).take("after the drain", {}).look
    assert found.queues == ()
    assert found.not_asked == "rabbitmqctl cannot be run on an external broker; no connection to 127.0.0.1:1"
