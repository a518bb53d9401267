"""A broker that somebody else runs, and commands that restart and kill it, at once or some time after they ended."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.models.containers import Container

from harness.broker.docker_engine import LABEL_RUN, connect
from harness.broker.external import ExternalBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.ledger import Ledger
from tests.integration.backends import require

pytestmark = pytest.mark.container
LATER = "(sleep 2; {}) >/dev/null 2>&1 &"


@dataclass(frozen=True, slots=True)
class Theirs:
    """A broker in a container that the external backend knows by its address alone."""

    broker: Broker
    container: Container

    def started_at(self) -> str:
        self.container.reload()
        return str(self.container.attrs["State"]["StartedAt"])

    def seen_from_outside(self, tmp_path: Path, *, outage_timeout_s: float = 60, **commands: str) -> ExternalBroker:
        settings = BrokerSettings("outside", tmp_path)
        return ExternalBroker(settings, self.broker.endpoint().url, commands, outage_timeout_s=outage_timeout_s)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    require("container")
    run_id = f"test-{secrets.token_hex(4)}"
    ledger = Ledger(run_id)
    broker = select("container", BrokerSettings(run_id, tmp_path_factory.mktemp("broker")), ledger).broker
    client = connect()
    try:
        broker.start()
        (container,) = client.containers.list(filters={"label": f"{LABEL_RUN}={run_id}"})
        yield Theirs(broker, container)
    finally:
        broker.destroy()
        client.close()
        ledger.close()


def test_it_is_reached_told_by_its_version_and_left_alone(theirs: Theirs, tmp_path: Path) -> None:
    broker = theirs.seen_from_outside(tmp_path)
    broker.start()
    assert broker.alive()
    assert broker.versions().rabbitmq == theirs.broker.versions().rabbitmq
    broker.destroy()
    assert theirs.broker.alive()


def test_a_restart_that_begins_after_its_command_ended_is_waited_for(theirs: Theirs, tmp_path: Path) -> None:
    broker = theirs.seen_from_outside(tmp_path, restart=LATER.format(f"docker restart {theirs.container.name}"))
    before = theirs.started_at()
    assert broker.stop().clean
    broker.start_node()
    assert theirs.started_at() != before
    assert theirs.broker.alive()


def test_a_kill_that_comes_after_its_command_ended_is_waited_for(theirs: Theirs, tmp_path: Path) -> None:
    name = theirs.container.name
    broker = theirs.seen_from_outside(
        tmp_path, kill=LATER.format(f"docker kill {name}"), start=f"docker wait {name} && docker start {name}"
    )
    before = theirs.started_at()
    broker.kill()
    broker.start_node()
    assert theirs.started_at() != before


def test_a_restart_of_something_else_is_told(theirs: Theirs, tmp_path: Path) -> None:
    report = theirs.seen_from_outside(tmp_path, outage_timeout_s=1, restart="true").stop()
    assert not report.clean
    assert "does it end this broker?" in report.detail
