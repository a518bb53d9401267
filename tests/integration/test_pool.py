"""Variants that have one broker after the other: each sees only what is its own, and nothing is left at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.broker.docker_engine import LABEL_OWNER, connect
from harness.broker.erlang import evaluate
from harness.broker.pool import BrokerPool
from harness.broker.protocol import Broker
from harness.broker.select import select
from harness.engine.judging import RunResult
from harness.engine.run import run
from harness.events import BrokerBooting, BrokerLook, BrokerStarted
from harness.faults.registry import actions
from harness.process_mark import ProcessMark
from harness.scenario.load import load
from harness.verdict.data import Fate, Outcome
from tests.integration.backends import ALONE, BACKENDS, first_on
from tests.integration.stage import state_below, wait_until
from tests.integration.test_runs import chaos, processes_of

KILLED_THEN_WITHOUT = """
name: killed
publishers: {messages: 1500, confirms: {window: 50}}
workers: {count: 2, prefetch: 20, work: 1ms}
timeline:
  - after: {confirmed: 500}
    kill: {broker: any, back_after: 0s}
controls:
  a worker instead:
    set:
      workers.acks: automatic
      timeline: [{after: {confirmed: 300}, kill: {worker: holding deliveries, back_after: 0s}}]
    expect: {lost: ">= 1", lost_at: {worker: ">= 1", broker: 0, unknown: 0}}
"""
PLAIN = """
name: plain
broker: {fresh: FRESH}
queues: {tasks: {}, QUEUE: {}}
publishers: {messages: 200}
workers: {count: 1}
"""
BOOTED = "Server startup complete"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = state_below(tmp_path, monkeypatch)
    yield folder
    assert list(folder.glob("*.json")) == [], "a ledger was left behind"
    assert list((tmp_path / "data").glob("chaos-*")) == [], "a folder was left behind"


class Shared:
    """Runs that have their brokers of one pool."""

    def __init__(self, backend: str, folder: Path, pool: BrokerPool) -> None:
        self._folder, self._pool = folder, pool
        self.brokers: list[Broker] = []
        """That were made, whether they were started or not."""
        self._backend = backend

    def _make(self, settings: object, ledger: object) -> tuple[Broker, str]:
        broker = select(self._backend, settings, ledger).broker  # type: ignore[arg-type]
        self.brokers.append(broker)
        return broker, "test"

    def run(self, text: str) -> RunResult:
        path = self._folder / "scenario.yaml"
        path.write_text(text)
        make_broker = self._pool.maker(self._make, self._backend)
        return run(load(path, actions()), reports=self._folder / "reports", seed=7, make_broker=make_broker)


@pytest.fixture
def shared(backend: str, tmp_path: Path) -> Iterator[Shared]:
    with closing(BrokerPool()) as pool:
        yield Shared(backend, tmp_path, pool)


def looks(result: RunResult, variant: str) -> list[BrokerLook]:
    return [event for event in result.histories[variant].events if isinstance(event, BrokerLook)]


def virtual_host(result: RunResult, variant: str) -> str:
    (started,) = (event for event in result.histories[variant].events if isinstance(event, BrokerStarted))
    return started.endpoint.rpartition("/")[2]


def origin(result: RunResult, variant: str) -> str:
    (started,) = (event for event in result.histories[variant].events if isinstance(event, BrokerStarted))
    return started.reason.partition("; ")[2]


def booted(result: RunResult, variant: str) -> bool:
    return any(isinstance(event, BrokerBooting) for event in result.histories[variant].events)


def log(result: RunResult, variant: str) -> str:
    (path,) = (result.directory.variant(variant) / "broker").glob("*.log")
    return path.read_text()


@first_on("container")
def test_a_run_with_a_control_has_one_broker_and_a_kill_shows_in_its_own_variant_alone(shared: Shared) -> None:
    result = shared.run(KILLED_THEN_WITHOUT)
    guarantee, control = result.verdict.variants
    assert result.verdict.outcome is Outcome.AS_EXPECTED, result.verdict.headline
    assert len(shared.brokers) == 1
    assert guarantee.counts.fates[Fate.PROCESSED] == 1500
    assert control.counts.fates[Fate.LOST] >= 1
    assert booted(result, "guarantee")
    assert not booted(result, control.name)
    assert origin(result, control.name) == "the broker of 1 earlier variant, in a virtual host of its own"
    before, after = looks(result, control.name)
    assert before.node_started == after.node_started == looks(result, "guarantee")[1].node_started
    assert before.node_started != looks(result, "guarantee")[0].node_started, "the guarantee's node was killed"
    assert before.own_virtual_host
    assert log(result, "guarantee").count(BOOTED) == 2
    assert log(result, control.name).count(BOOTED) == 0
    of_guarantee, of_control = (virtual_host(result, name) for name in ("guarantee", control.name))
    assert of_guarantee in log(result, "guarantee")
    assert of_guarantee not in log(result, control.name)
    assert of_control in log(result, control.name)


@first_on("native")
def test_runs_one_after_the_other_see_neither_queues_nor_counts_nor_clients_of_each_other(shared: Shared) -> None:
    first = shared.run(PLAIN.replace("QUEUE", "first").replace("FRESH", "false"))
    second = shared.run(PLAIN.replace("QUEUE", "second").replace("FRESH", "false"))
    assert len(shared.brokers) == 1
    for result, names in ((first, {"tasks", "first"}), (second, {"tasks", "second"})):
        assert result.verdict.outcome is Outcome.AS_EXPECTED, result.verdict.headline
        for look in looks(result, "guarantee"):
            assert {queue.name for queue in look.queues} == names
            assert look.own_virtual_host
        before, after = looks(result, "guarantee")
        grown = sum(after.acknowledged.values()) - sum(before.acknowledged.values())
        assert not before.acknowledged or grown == 200
        assert not result.verdict.variants[0].notes


@first_on("container")
def test_what_died_in_an_earlier_run_is_not_counted_in_the_next(shared: Shared) -> None:
    drops = """
name: drops
queues: {tasks: {max_length: 50}}
publishers: {messages: 400}
workers: {count: 1, work: 2ms, prefetch: 1}
expect: {dropped: ">= 1", lost: 0}
"""
    first, second = shared.run(drops), shared.run(drops)
    assert len(shared.brokers) == 1
    before, _ = looks(second, "guarantee")
    for result in (first, second):
        (variant,) = result.verdict.variants
        assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
        assert variant.counts.fates[Fate.DROPPED] + variant.counts.fates[Fate.PROCESSED] == 400
    dropped = first.verdict.variants[0].counts.fates[Fate.DROPPED]
    counted = sum(
        count for counts in before.dead_lettered.values() for name, count in counts.items() if "maxlen" in name
    )
    assert counted == (dropped if before.dead_lettered else 0), "the broker counted on, and the second run began there"


@first_on("native")
def test_a_step_closes_the_connections_of_its_own_variant(shared: Shared) -> None:
    closes = """
name: closes
publishers: {duration: timeline, rate: 500, confirms: {window: 50}}
workers: {count: 2, work: 5ms}
timeline:
  - after: {confirmed: 500}
    close: connections
"""
    result = shared.run(closes)
    (variant,) = result.verdict.variants
    assert variant.outcome is Outcome.AS_EXPECTED, variant.headline
    assert variant.faults[0].at_risk
    assert shared.run(closes).verdict.outcome is Outcome.AS_EXPECTED
    assert len(shared.brokers) == 1


@first_on("native")
def test_between_two_variants_a_broker_is_as_it_was_after_its_boot(shared: Shared) -> None:
    shared.run(PLAIN.replace("QUEUE", "first").replace("FRESH", "false"))
    shared.run("{name: quorum, queues: {q: {type: quorum}}, publishers: {messages: 50}, workers: {count: 1}}")
    (broker,) = shared.brokers
    wait_until(lambda: _hosts(broker) == [b"/"], "the virtual host to be removed")
    assert evaluate(broker, "length(rabbit_networking:connections())") == 0


def _hosts(broker: Broker) -> list[bytes]:
    found: list[bytes] = evaluate(broker, "rabbit_vhost:list()")
    return found


HARMS = (
    ("set_policy", "p", ".*", '{"max-length": 5}'),
    ("add_user", "somebody", "secret"),
    ("set_vm_memory_high_watermark", "0.0001"),
    ("add_vhost", "left"),
)


@first_on("native")
@pytest.mark.parametrize(
    "harms", [pytest.param(HARMS[:1], id="one"), pytest.param(HARMS, id="all", marks=pytest.mark.slow)]
)
def test_what_was_left_on_a_broker_costs_it_its_next_user(shared: Shared, harms: tuple[tuple[str, ...], ...]) -> None:
    """Also where nobody saw how it came there."""
    plain = PLAIN.replace("QUEUE", "other").replace("FRESH", "false")
    shared.run(plain)
    for boots, harm in enumerate(harms, start=2):
        assert shared.brokers[-1].control(*harm).exit_code == 0
        result = shared.run(plain)
        assert result.verdict.outcome is Outcome.AS_EXPECTED, result.verdict.headline
        assert (harm[0], len(shared.brokers)) == (harm[0], boots)
        assert "could not be used again" in origin(result, "guarantee")


@first_on("native")
def test_each_variant_that_wants_a_fresh_broker_boots_one(shared: Shared) -> None:
    scenario = PLAIN.replace("QUEUE", "other").replace("FRESH", "true")
    scenario += "controls: {again: {set: {workers.prefetch: 3}, expect: {lost: 0}}}\n"
    result = shared.run(scenario)
    assert len(shared.brokers) == 2
    nodes = [looks(result, name)[0].node_started for name in ("guarantee", "again")]
    assert nodes[0] != nodes[1]


# The command line.


@ALONE
@first_on("native")
@pytest.mark.parametrize(
    ("options", "boots"),
    [pytest.param((), 1, id="shared"), pytest.param(("--fresh",), 2, id="fresh", marks=pytest.mark.slow)],
)
def test_a_command_boots_one_broker_or_one_for_each_variant(
    backend: str, tmp_path: Path, options: tuple[str, ...], boots: int
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"{{name: {name}, publishers: {{messages: 50}}, workers: {{}}}}")
    done = chaos("run", "one.yaml", "two.yaml", "--broker", backend, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logs = [path.read_text() for path in tmp_path.glob("reports/2*/variants/guarantee/broker/*.log")]
    assert len(logs) == 2
    assert sum(text.count(BOOTED) for text in logs) == boots
    for meta in tmp_path.glob("reports/2*/run.json"):
        assert ("--fresh" in json.loads(meta.read_text())["replay"]) == bool(options)
    assert processes_of(tmp_path) == []


@ALONE
@pytest.mark.parametrize(
    ("backend", "number"),
    [
        pytest.param(*each.values, number, id=f"{each.values[0]}-{name}", marks=[*each.marks, *marks])
        for each in BACKENDS
        for name, number, marks in (("SIGKILL", signal.SIGKILL, []), ("Ctrl-C", signal.SIGINT, [pytest.mark.slow]))
    ],
    indirect=["backend"],
)
def test_a_command_that_ends_in_its_second_variant_leaves_nothing(
    backend: str, tmp_path: Path, number: signal.Signals
) -> None:
    long = "name: long\npublishers: {messages: 50}\nworkers: {count: 1}\n"
    long += "controls: {endless: {set: {publishers: {duration: 60s, rate: 200}}, expect: {lost: 0}}}\n"
    (tmp_path / "long.yaml").write_text(long)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "long.yaml", "--broker", backend],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    owner = ProcessMark.of(process.pid)
    wait_until(lambda: _processed(tmp_path) or process.poll() is not None, "the control's traffic")
    assert process.poll() is None
    assert _left(tmp_path, backend, owner) != []
    process.send_signal(number)
    process.wait(120)
    if number is signal.SIGKILL:
        assert chaos("clean", cwd=tmp_path).returncode == 0
    wait_until(lambda: _left(tmp_path, backend, owner) == [], "everything to be gone")


def _processed(tmp_path: Path) -> bool:
    found = list(tmp_path.glob("reports/*-long/variants/endless/events.jsonl"))
    return bool(found) and '"processed": 1' in found[0].read_text()


def _left(tmp_path: Path, backend: str, owner: ProcessMark) -> list[str]:
    left = [*processes_of(tmp_path), *map(str, (tmp_path / "data").glob("chaos-*"))]
    if backend == "container":
        with closing(connect()) as client:
            filters: dict[str, str | list[str] | bool] = {"label": f"{LABEL_OWNER}={owner}"}
            left += [str(each.name) for each in client.containers.list(all=True, filters=filters, ignore_removed=True)]
            left += [str(each.name) for each in client.volumes.list(filters=filters)]
    return left
