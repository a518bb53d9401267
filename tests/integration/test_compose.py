"""A compose project as the broker: the project's own file, and a user's that is not fit for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.broker.compose import ComposeBroker, compose_command
from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE
from harness.broker.docker_engine import connect, image_present
from harness.broker.protocol import BrokerSettings
from harness.errors import ChaosError, UsageError
from harness.ledger import Ledger
from harness.traffic import topology
from harness.traffic.spec import Target
from tests.integration.backends import require

pytestmark = pytest.mark.container
PROJECT = Path(__file__).parents[2] / "compose.yaml"


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> str:
    require("container")
    try:
        compose_command()
    except ChaosError as error:
        pytest.skip(str(error))
    client = connect()
    chosen = DEFAULT_IMAGE if image_present(client, DEFAULT_IMAGE) else BUILT_IMAGE
    client.close()
    monkeypatch.setenv("CHAOS_AMQP_PORT", "25673")
    monkeypatch.setenv("CHAOS_MANAGEMENT_PORT", "25674")
    return chosen


def test_the_project_is_started_struck_and_taken_down(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    ledger = Ledger("compose-test")
    broker = ComposeBroker(
        BrokerSettings("compose-test", tmp_path, image=image), ledger, file=PROJECT, service="rabbitmq"
    )
    try:
        broker.start()
        endpoint = broker.endpoint()
        target = Target(((endpoint.host, endpoint.port),), endpoint.username, endpoint.password)
        assert (endpoint.host, endpoint.port) == ("127.0.0.1", 25673)
        topology.declare(target, (), (topology.QueueDeclaration("kept"),), ())
        assert broker.stop().clean
        assert not broker.alive()
        broker.start_node()
        broker.kill()
        broker.start_node()
        broker.pause()
        broker.resume()
        assert topology.ready_messages(target, ["kept"]) == {"kept": 0}
        assert broker.control("list_queues", "name").exit_code == 0
        assert broker.versions().rabbitmq.startswith(("3.", "4."))
    finally:
        broker.destroy()
        ledger.close()
    listed = subprocess.run(
        [*compose_command(), "--file", str(PROJECT), "ps", "--all", "--quiet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == "", "the project must be taken down"


def test_a_service_that_publishes_everywhere_is_refused(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    file = tmp_path / "compose.yaml"
    file.write_text(f"services:\n  queue:\n    image: {image}\n    hostname: queue\n")
    ledger = Ledger("compose-user")
    broker = ComposeBroker(BrokerSettings("compose-user", tmp_path), ledger, file=file, service="queue")
    try:
        with pytest.raises(UsageError, match="publishes no AMQP port"):
            broker.start()
    finally:
        broker.destroy()
        ledger.close()


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    ledger = Ledger("compose-missing")
    broker = ComposeBroker(BrokerSettings("x", tmp_path), ledger, file=tmp_path / "no.yaml", service="rabbitmq")
    with pytest.raises(UsageError, match=r"no\.yaml"):
        broker.start()
    ledger.close()
