"""A broker is used again by the next variant only if it fits and is healthy; one has it at a time, and none is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.broker.lent import LentBroker
from harness.broker.pool import BrokerPool
from harness.broker.protocol import Ability, Broker, BrokerSettings
from harness.errors import BrokerError
from harness.ledger import Ledger, state_directory
from harness.leftovers import stale
from harness.traffic import topology
from tests.unit.fake_pooled import FakeBroker


class Command:
    """A command with a pool, whose variants take a broker one after the other."""

    def __init__(self, directory: Path) -> None:
        self.pool = BrokerPool()
        self.made: list[FakeBroker] = []
        self.like: dict[str, Any] = {}
        """What the next broker is like."""
        self._variants = 0
        self._directory = directory
        self._ledger = Ledger("run")

    def _make(self, settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
        broker = FakeBroker(settings, ledger, **self.like)
        self.made.append(broker)
        return cast("Broker", broker), "native, as asked for"

    def variant(self, **settings: Any) -> Broker:
        """Make the broker of the next variant."""
        self._variants += 1
        wanted = BrokerSettings("run-variant", self._directory, virtual_host=f"chaos-{self._variants}")
        broker, self.reason = self.pool.maker(self._make, "native")(replace(wanted, **settings), self._ledger)
        return broker

    def run(self, during: Callable[[Broker], object] = lambda _broker: None, **settings: Any) -> Broker:
        """Have a variant use a broker, and give it back."""
        broker = self.variant(**settings)
        try:
            broker.start()
            during(broker)
        finally:
            broker.destroy()
        return broker

    @property
    def started(self) -> list[FakeBroker]:
        return [broker for broker in self.made if "start" in broker.calls]

    def ledgers(self) -> set[str]:
        return {path.stem.partition("-")[0] for path in state_directory().glob("*.json")} - {"run"}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(topology, "round_trip", lambda _target: None)
    command = Command(tmp_path)
    yield command
    for broker in command.made:
        broker.fails_to_end = False
    command.pool.close()


def test_a_broker_is_used_again_in_a_virtual_host_of_its_users_own(command: Command) -> None:
    hosts = []
    for _ in range(3):
        command.run(lambda broker: hosts.append(broker.endpoint().virtual_host))
    command.pool.close()
    (broker,) = command.started
    assert hosts == ["chaos-1", "chaos-2", "chaos-3"]
    made = [call for number in (1, 2, 3) for call in (f"make chaos-{number}", f"delete chaos-{number}")]
    assert broker.calls == ["start", *made, "destroy"]


def test_where_a_broker_came_from_is_said(command: Command) -> None:
    origins: list[str] = []
    for _ in range(3):
        command.run(lambda broker: origins.append(broker.origin if isinstance(broker, LentBroker) else ""))
    assert origins == [
        "booted for this variant",
        "the broker of 1 earlier variant, in a virtual host of its own",
        "the broker of 2 earlier variants, in a virtual host of its own",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "rabbitmq:3"},
        {"config": {"vm_memory_high_watermark.relative": "0.5"}},
        {"plugins": ("rabbitmq_shovel",)},
        {"permit": ("transient_nonexcl_queues",)},
        {"nodes": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_take_another_broker_and_the_first_one_goes_before(
    command: Command, change: dict[str, Any]
) -> None:
    command.run()
    first_ended: list[bool] = []
    command.run(lambda _broker: first_ended.append(command.started[0].ended), **change)
    assert len(command.started) == 2
    assert first_ended == [True]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"alarms": 1}, "a resource alarm is in force"),
        ({"running": 0}, "only 0 of its 1 nodes run"),
        ({"clients": 2}, "clients are still connected"),
        ({"dead": True}, "n1 is down"),
        ({"left": 7}, "its virtual hosts and its users and its settings changed"),
        ({"cannot_be_asked": True}, "the last variant's virtual host could not be removed"),
    ],
    ids=["alarm", "node", "clients", "dead", "left behind", "mute"],
)
def test_an_unhealthy_broker_is_ended_and_another_one_booted(
    command: Command, damage: dict[str, Any], said: str
) -> None:
    def harm(_broker: Broker) -> None:
        for name, value in damage.items():
            setattr(command.started[0], name, value)

    command.run(harm)
    origins: list[str] = []
    command.run(lambda broker: origins.append(cast("LentBroker", broker).origin))
    assert [broker.ended for broker in command.started] == [True, False]
    assert origins[0].startswith("booted for this variant, as the one before could not be used again: ")
    assert said in origins[0]


@pytest.mark.parametrize(
    ("spoil", "settings"),
    [
        (lambda broker: broker.retire("its variant was interrupted"), {}),
        (lambda broker: broker.control("set_policy", "p"), {}),
        (lambda _broker: None, {"spoiled_by": "step 1 runs rabbitmqctl"}),
        (lambda broker: broker.kill(1), {"nodes": 3}),
        (lambda broker: broker.stop(1), {"nodes": 3}),
        (lambda broker: broker.pause(1), {"nodes": 3}),
    ],
    ids=["interrupted", "rabbitmqctl", "as planned", "kill of a cluster's node", "stop of one", "pause of one"],
)
def test_nobody_has_a_broker_again_after_what_may_have_harmed_it(
    command: Command, spoil: Callable[[Any], object], settings: dict[str, Any]
) -> None:
    command.run(spoil, **settings)
    assert command.started[0].ended, "it goes when it is given back"
    command.run(**settings)
    assert len(command.started) == 2


@pytest.mark.parametrize("strike", ["kill", "stop", "pause"])
def test_a_single_node_that_was_struck_and_came_back_is_used_again(command: Command, strike: str) -> None:
    command.run(lambda broker: getattr(broker, strike)(0))
    command.run()
    assert len(command.started) == 1


def test_asking_a_broker_leaves_it_in_use(command: Command) -> None:
    command.run(lambda broker: broker.control("eval", "nodes()"))
    command.run()
    assert len(command.started) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"fresh": True},
        {"config": {"default_policies.operator.a.queue_pattern": "^t"}},
        {"config": {"load_definitions": "/d.json"}},
        {"config": {"default_limits.vhosts.1.pattern": "^/$"}},
    ],
    ids=["fresh", "default policies", "definitions", "limits"],
)
def test_a_variant_that_must_have_its_own_broker_gets_one_of_its_runs(
    command: Command, settings: dict[str, Any]
) -> None:
    command.run()
    hosts: list[str] = []
    broker = command.run(lambda broker: hosts.append(broker.endpoint().virtual_host), **settings)
    assert isinstance(broker, FakeBroker)
    assert broker.ledger.run_id == "run", "the run's ledger has it"
    assert hosts == ["/"]
    assert broker.ended
    assert not command.started[0].ended, "the other one waits on"
    assert "a broker of its own, as " in command.reason


def test_a_broker_without_rabbitmqctl_is_not_shared(command: Command) -> None:
    command.like = {"abilities": frozenset({Ability.KILL})}
    command.run()
    command.run()
    assert [broker.ended for broker in command.started] == [True, True]


def test_a_broker_that_cannot_be_asked_for_a_virtual_host_is_its_first_users_alone(command: Command) -> None:
    command.like = {"cannot_be_asked": True}
    hosts: list[str] = []
    command.run(lambda broker: hosts.append(broker.endpoint().virtual_host))
    command.run(lambda broker: hosts.append(broker.endpoint().virtual_host))
    assert hosts == ["/", "/"]
    assert [broker.ended for broker in command.started] == [True, True]


def test_two_users_at_once_never_have_the_same_broker(command: Command) -> None:
    command.run()
    entered = threading.Barrier(4)
    had: list[int] = []
    lock = threading.Lock()

    def use(_broker: Broker) -> None:
        with lock:
            had.append(len(command.started))
        entered.wait(30)

    users = [threading.Thread(target=command.run, args=(use,)) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(command.started) == 4, "each of the four that came at once had one, the first of which was there"
    assert [broker.ended for broker in command.started].count(False) == 1, "one waits for the next user, at most"
    command.pool.close()
    assert all(broker.ended for broker in command.started)


def test_a_variant_sees_its_own_part_of_the_log(command: Command) -> None:
    def write(text: str) -> Callable[[Broker], object]:
        def during(broker: Broker) -> None:
            command.started[0].log += text
            logs.append(broker.logs()["n1"])

        return during

    logs: list[str] = []
    command.run(write("killed\n"))
    command.run(write("mine\n"))
    assert logs == ["boot\nkilled\n", "mine\n"]


def test_a_broker_that_was_given_back_does_nothing_more_for_its_user(command: Command) -> None:
    broker = command.run()
    with pytest.raises(BrokerError, match="was given back"):
        broker.kill()
    with pytest.raises(BrokerError, match="was given back"):
        broker.endpoint()
    broker.destroy()
    assert "kill 0" not in command.started[0].calls
    assert not command.started[0].ended


def test_a_broker_that_does_not_boot_is_removed_at_once_and_the_next_one_is_tried(command: Command) -> None:
    command.like = {"fails_to_start": True}
    with pytest.raises(BrokerError, match="it does not boot"):
        command.run()
    assert command.started[0].ended
    command.like = {}
    command.run()
    assert [broker.ended for broker in command.started] == [True, False]


def test_nothing_is_left_at_the_end_neither_brokers_nor_folders_nor_ledgers(command: Command, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    command.run()
    assert command.ledgers() == {"brokers"}, "a broker outlives its variant, so it is not in the run's ledger"
    assert command.started[0].ledger.run_id.startswith("brokers-")
    command.pool.close()
    assert command.started[0].ended
    assert command.ledgers() == set()
    assert set(tmp_path.iterdir()) == before


def test_a_broker_that_is_in_use_when_the_command_ends_goes_as_well(command: Command) -> None:
    broker = command.variant()
    broker.start()
    command.pool.close()
    assert command.started[0].ended
    broker.destroy()
    with pytest.raises(BrokerError, match="the command ends"):
        command.run()


def test_what_cannot_be_ended_stays_written_down(command: Command) -> None:
    command.run()
    command.started[0].fails_to_end = True
    with pytest.raises(BrokerError, match="it cannot be removed"):
        command.pool.close()
    assert command.ledgers() == {"brokers"}
    assert stale() == (), "its owner lives"


def test_no_broker_is_written_down_for_a_command_that_needs_none(command: Command) -> None:
    command.pool.close()
    assert command.ledgers() == set()
