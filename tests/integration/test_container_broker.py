"""The container backend: what it starts, what can be done to it, and that nothing of it is left."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import docker
import pytest
from docker.models.containers import Container
from docker.models.volumes import Volume
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.broker import container as container_module
from harness.broker import doctor, ports
from harness.broker.container import ContainerBroker
from harness.broker.docker_engine import LABEL_MADE, LABEL_OWNER, LABEL_RUN, connect
from harness.broker.docker_leftovers import left_behind, sweep
from harness.broker.erlang import evaluate
from harness.broker.flush import flush_metadata
from harness.broker.image_choice import choose
from harness.broker.protocol import BrokerSettings
from harness.broker.together import together
from harness.errors import BrokerError
from harness.ledger import Ledger, owner_label
from harness.process_mark import ProcessMark
from harness.traffic import topology
from harness.traffic.spec import Target
from tests.integration.backends import ALONE, require

pytestmark = pytest.mark.container
Make = Callable[..., ContainerBroker]


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    require("container")
    with closing(connect()) as client:
        yield client


@pytest.fixture(scope="module")
def make(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Make brokers that are not started; all are removed in the end."""
    image = choose(client).image
    made: list[ContainerBroker] = []
    ledgers: list[Ledger] = []

    def new(**settings: object) -> ContainerBroker:
        run_id = f"test-{secrets.token_hex(4)}"
        ledgers.append(Ledger(run_id))
        chosen = {"image": image} | settings
        made.append(
            ContainerBroker(BrokerSettings(run_id, tmp_path_factory.mktemp("run"), **chosen), ledgers[-1])  # type: ignore[arg-type]
        )
        return made[-1]

    yield new
    for broker in made:
        broker.destroy()
    for ledger in ledgers:
        ledger.close()


@pytest.fixture(scope="module")
def one(make: Make) -> ContainerBroker:
    broker = make(config={"heartbeat": "17"}, plugins=("rabbitmq_shovel",), permit=("transient_nonexcl_queues",))
    broker.start()
    return broker


def target(broker: ContainerBroker, node: int = 0) -> Target:
    endpoint = broker.endpoint(node)
    return Target(((endpoint.host, endpoint.port),), endpoint.username, endpoint.password)


def run_of(broker: ContainerBroker) -> str:
    return broker._settings.run_id


def things(client: docker.DockerClient, label: str) -> dict[str, int]:
    filters: dict[str, str | list[str] | bool] = {"label": label}
    return {
        "containers": len(client.containers.list(all=True, filters=filters)),
        "volumes": len(client.volumes.list(filters=filters)),
        "networks": len(client.networks.list(filters=filters)),
    }


def test_it_listens_on_this_machine_only_and_below_the_ephemeral_ports(
    one: ContainerBroker, client: docker.DockerClient
) -> None:
    (container,) = client.containers.list(filters={"label": f"{LABEL_RUN}={run_of(one)}"})
    published = {port: bindings for port, bindings in container.ports.items() if bindings}
    assert published == {"5672/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(one.endpoint().port)}]}
    assert ports.LOW <= one.endpoint().port < 32768


def test_everything_names_its_run_and_its_owner(one: ContainerBroker, client: docker.DockerClient) -> None:
    (container,) = client.containers.list(filters={"label": f"{LABEL_RUN}={run_of(one)}"})
    assert container.labels[LABEL_OWNER] == owner_label()
    assert things(client, f"{LABEL_RUN}={run_of(one)}") == {"containers": 1, "volumes": 1, "networks": 0}


def test_configuration_plugins_and_permissions_reach_the_node(one: ContainerBroker) -> None:
    assert evaluate(one, "application:get_env(rabbit, heartbeat)") == ("ok", 17)
    permitted = one.control("eval", "application:get_env(rabbit, permit_deprecated_features).").stdout
    assert "transient_nonexcl_queues => true" in permitted
    running = one.control("eval", "[App || {App, _, _} <- application:which_applications()].").stdout
    assert "rabbitmq_shovel" in running
    assert "rabbitmq_management" in running


def test_it_tells_what_runs(one: ContainerBroker, client: docker.DockerClient) -> None:
    versions = one.versions()
    assert versions.rabbitmq.split(".")[0] in ("3", "4")
    release = one.control("eval", "erlang:list_to_integer(erlang:system_info(otp_release)).").stdout
    assert versions.erlang.split(".")[0] == release.strip()
    assert versions.image_digest
    assert client.images.get(versions.image)


def test_a_stop_is_clean_and_a_start_comes_back_at_the_same_place(one: ContainerBroker) -> None:
    endpoint = one.endpoint()
    topology.declare(target(one), (), (topology.QueueDeclaration("kept over a stop"),), ())
    report = one.stop()
    assert (report.clean, report.exit_code) == (True, 0)
    assert not one.alive()
    one.start_node()
    assert one.endpoint() == endpoint
    assert topology.ready_messages(target(one), ["kept over a stop"]) == {"kept over a stop": 0}


def test_a_kill_ends_it_at_once_and_a_start_comes_back_with_its_data(one: ContainerBroker) -> None:
    topology.declare(target(one), (), (topology.QueueDeclaration("kept over a kill"),), ())
    flush_metadata(one)
    one.kill()
    assert not one.alive()
    one.start_node()
    assert topology.ready_messages(target(one), ["kept over a kill"]) == {"kept over a kill": 0}


def test_a_frozen_node_answers_nothing_until_it_is_thawed(one: ContainerBroker) -> None:
    one.pause()
    assert one.alive(), "frozen counts as alive"
    with pytest.raises(BrokerError, match="was not ready"):
        one.ready(timeout_s=1)
    one.resume()
    one.resume()
    one.ready()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_frozen_node_can_be_ended(one: ContainerBroker, end: str) -> None:
    one.pause()
    getattr(one, end)()
    assert not one.alive()
    one.start_node()


def test_a_stop_that_takes_too_long_is_not_called_clean(make: Make) -> None:
    broker = make(stop_timeout_s=0.0)
    broker.start()
    report = broker.stop()
    assert (report.clean, report.exit_code) == (False, 137)
    assert "SIGKILL" in report.detail


def test_the_log_can_be_read_after_the_end(make: Make) -> None:
    broker = make()
    broker.start()
    node = broker.nodes[0]
    broker.destroy()
    broker.destroy()
    assert "started TCP listener on" in broker.logs()[node]


def test_three_nodes_are_one_cluster_and_survive_the_loss_of_one(
    make: Make, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = make(nodes=3)
    broker.start()
    assert broker.nodes == ("rabbit@n1", "rabbit@n2", "rabbit@n3")
    assert len({broker.endpoint(node).port for node in range(3)}) == 3
    topology.declare(
        target(broker, 2), (), (topology.QueueDeclaration("shared", arguments={"x-queue-type": "quorum"}),), ()
    )
    flush_metadata(broker)
    broker.kill(0)
    assert [broker.alive(node) for node in range(3)] == [False, True, True]
    assert topology.ready_messages(target(broker, 1), ["shared"]) == {"shared": 0}
    ready = broker.ready

    def end_once_in_the_boot(node: int) -> None:
        monkeypatch.undo()
        broker.kill(node)
        ready(node)

    monkeypatch.setattr(broker, "ready", end_once_in_the_boot)
    broker.start_node(0)
    assert topology.ready_messages(target(broker, 0), ["shared"]) == {"shared": 0}
    label = f"{LABEL_RUN}={run_of(broker)}"
    assert things(client, label) == {"containers": 3, "volumes": 3, "networks": 1}
    broker.destroy()
    assert things(client, label) == {"containers": 0, "volumes": 0, "networks": 0}


@pytest.mark.slow
def test_three_nodes_that_are_killed_at_once_come_back_with_what_they_had(make: Make) -> None:
    broker = make(nodes=3)
    broker.start()
    declaration = topology.QueueDeclaration("shared", arguments={"x-queue-type": "quorum"})
    topology.declare(target(broker, 2), (), (declaration,), ())
    flush_metadata(broker)
    together(broker.kill, range(3))
    assert [broker.alive(node) for node in range(3)] == [False, False, False]
    together(broker.start_node, range(3))
    assert topology.ready_messages(target(broker, 1), ["shared"]) == {"shared": 0}


def test_a_port_that_is_taken_in_between_is_changed_for_another(
    make: Make, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.free_port()))
        taken.listen()
        offered = iter([taken.getsockname()[1], free := ports.free_port()])
        monkeypatch.setattr(container_module, "free_port", lambda: next(offered))
        broker = make()
        broker.start()
    assert broker.endpoint().port == free
    broker.destroy()
    assert things(client, f"{LABEL_RUN}={run_of(broker)}") == {"containers": 0, "volumes": 0, "networks": 0}


def test_a_node_that_cannot_boot_says_why_at_once(make: Make) -> None:
    broker = make(config={"vm_memory_high_watermark.relative": "nonsense"}, start_timeout_s=120)
    with pytest.raises(BrokerError, match="ended with exit code") as caught:
        broker.start()
    assert "\n" not in str(caught.value)


def test_an_image_that_is_not_there_is_named_and_not_pulled(make: Make) -> None:
    broker = make(image="chaos-no-such-image:1")
    with pytest.raises(BrokerError, match=r"no image chaos-no-such-image:1; pull it"):
        broker.start()


def test_what_a_container_is_asked_when_it_is_gone_is_one_sentence(make: Make, client: docker.DockerClient) -> None:
    broker = make()
    broker.start()
    (container,) = client.containers.list(filters={"label": f"{LABEL_RUN}={run_of(broker)}"})
    container.remove(force=True, v=True)
    with pytest.raises(BrokerError, match=r"^killing rabbit@n1 failed: it is not there any more$"):
        broker.kill()
    broker.destroy()


@retry(stop=stop_after_delay(10), wait=wait_fixed(0.2), retry=retry_if_exception_type(AssertionError), reraise=True)
def volume_younger_than(client: docker.DockerClient, container: Container, name: str) -> Volume:
    """The engine knows a volume's age in whole seconds."""
    volume = client.volumes.create(name)
    if volume.attrs["CreatedAt"][:19] <= container.attrs["Created"][:19]:
        volume.remove()
        raise AssertionError
    return volume


@ALONE
def test_a_sweep_removes_what_dead_owners_left_and_nothing_else(
    one: ContainerBroker, client: docker.DockerClient
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = str(ProcessMark.of(ended.pid))
    ended.kill()
    ended.wait()
    run = f"left-{secrets.token_hex(4)}"
    labels = {LABEL_RUN: run, LABEL_OWNER: owner}
    client.volumes.create(f"{run}-volume", labels=labels)
    client.volumes.create(f"{run}-made")
    client.networks.create(f"{run}-network", labels=labels)
    container = client.containers.create(
        one.versions().image,
        name=run,
        labels=labels | {LABEL_MADE: f"volume:{run}-made,volume:{run}-younger,network:{run}-gone"},
        network=f"{run}-network",
    )
    somebodys = volume_younger_than(client, container, f"{run}-younger")
    assert left_behind() >= 1
    assert ("problem", "chaos clean") in [(each.state, each.advice) for each in doctor.examine()]
    removed = [line for line in sweep() if run in line]
    assert removed == [
        f"container {run}",
        f"volume {run}-made",
        f"volume {run}-volume",
        f"network {run}-network",
    ]
    assert left_behind() == 0
    assert things(client, f"{LABEL_RUN}={run}") == {"containers": 0, "volumes": 0, "networks": 0}
    assert one.alive(), "a living owner's run is never touched"
    somebodys.reload()
    somebodys.remove()
