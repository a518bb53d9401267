"""A compose project as the broker: the project's own file, a user's, and that each is left as it was found."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from harness.broker.compose import ComposeBroker
from harness.broker.compose_contents import Contents, contents
from harness.broker.compose_project import compose_command
from harness.broker.docker_engine import LABEL_OWNER, connect
from harness.broker.docker_leftovers import sweep
from harness.broker.erlang import evaluate
from harness.broker.flush import flush_metadata
from harness.broker.image_choice import choose
from harness.broker.ports import free_port
from harness.broker.protocol import BrokerSettings
from harness.errors import BrokerError, ChaosError, UsageError
from harness.ledger import Ledger
from harness.traffic import topology
from harness.traffic.spec import Target
from tests.integration.backends import ALONE, require
from tests.required import lacking

pytestmark = pytest.mark.container
SHIPPED = Path(__file__).parents[2] / "compose.yaml"
NOTHING = Contents({}, frozenset(), frozenset())
PASSWORD = "not-guest"  # noqa: S105 - made up
Make = Callable[..., ComposeBroker]


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    require("container")
    try:
        compose_command()
    except ChaosError as error:
        lacking(str(error))
    with closing(connect()) as client:
        yield client


@pytest.fixture
def image(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> str:
    chosen = choose(client).image
    monkeypatch.setenv("CHAOS_IMAGE", chosen)
    return chosen


@pytest.fixture
def name(image: str, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: ARG001 - the engine comes first
    """A project of this test alone, on ports of its own."""
    name = f"chaos-test-{secrets.token_hex(4)}"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", name)
    monkeypatch.setenv("CHAOS_AMQP_PORT", str(free_port()))
    monkeypatch.setenv("CHAOS_MANAGEMENT_PORT", str(free_port()))
    return name


@pytest.fixture
def make(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:  # noqa: ARG001
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    ledger = Ledger("compose-test")
    made: list[ComposeBroker] = []

    def new(file: Path = SHIPPED, service: str = "rabbitmq", **settings: object) -> ComposeBroker:
        made.append(
            ComposeBroker(
                BrokerSettings("compose-test", tmp_path, **settings),  # type: ignore[arg-type]
                ledger,
                file=file,
                service=service,
            )
        )
        return made[-1]

    yield new
    for broker in made:
        broker.destroy()
    ledger.close()


@pytest.fixture
def users(image: str, name: str, client: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """A user's project: a broker with an own user, a store that it needs, and a shop that has nothing to do with it."""
    folder = tmp_path / "users"
    folder.mkdir()
    file = folder / "compose.yaml"
    idle = f'{{image: "{image}", entrypoint: [sleep, infinity], stop_grace_period: 0s, volumes: ["VOLUME:/kept"]}}'
    file.write_text(
        f"""
services:
  queue:
    image: {image}
    hostname: queue
    ports: ["127.0.0.1:{free_port()}:5672"]
    volumes: ["data:/var/lib/rabbitmq"]
    depends_on: [store]
  store: {idle.replace("VOLUME", "stored")}
  shop: {idle.replace("VOLUME", "goods")}
volumes: {{data: {{}}, stored: {{}}, goods: {{}}}}
"""
    )
    yield file
    subprocess.run(
        [*compose_command(), "--file", str(file), "down", "--volumes", "--timeout", "5"],
        check=True,
        capture_output=True,
    )
    assert contents(client, name) == NOTHING


def up(file: Path, service: str, *options: str) -> None:
    subprocess.run(
        [*compose_command(), "--file", str(file), "up", "--detach", *options, service], check=True, capture_output=True
    )


def target(broker: ComposeBroker) -> Target:
    endpoint = broker.endpoint()
    return Target(((endpoint.host, endpoint.port),), endpoint.username, endpoint.password, endpoint.virtual_host)


def test_the_shipped_project_is_started_struck_and_taken_down(
    make: Make, name: str, client: docker.DockerClient
) -> None:
    broker = make(config={"heartbeat": "17"})
    broker.start()
    assert (broker.endpoint().host, str(broker.endpoint().port)) == ("127.0.0.1", os.environ["CHAOS_AMQP_PORT"])
    assert evaluate(broker, "application:get_env(rabbit, heartbeat)") == ("ok", 17)
    assert broker.versions().rabbitmq.startswith(("3.", "4."))
    assert broker.versions().image == os.environ["CHAOS_IMAGE"]
    topology.declare(target(broker), (), (topology.QueueDeclaration("kept"),), ())
    assert broker.stop().clean
    assert not broker.alive()
    broker.start_node()
    flush_metadata(broker)
    broker.kill()
    broker.start_node()
    broker.pause()
    broker.resume()
    broker.ready()
    assert topology.ready_messages(target(broker), ["kept"]) == {"kept": 0}
    broker.destroy()
    assert contents(client, name) == NOTHING
    assert "AMQP" in broker.logs()["rabbitmq"]


def test_the_shipped_project_becomes_healthy(name: str, client: docker.DockerClient) -> None:
    try:
        up(SHIPPED, "rabbitmq", "--wait", "--wait-timeout", "120")
        ((number, state),) = contents(client, name).containers.items()
        assert state == "running"
        container = client.containers.get(number)
        assert container.attrs["State"]["Health"]["Status"] == "healthy"
        published = [binding for bindings in container.ports.values() for binding in bindings or ()]
        assert [binding["HostIp"] for binding in published] == ["127.0.0.1", "127.0.0.1"]
    finally:
        subprocess.run(
            [*compose_command(), "--file", str(SHIPPED), "down", "--volumes"], check=True, capture_output=True
        )


def test_a_project_that_runs_is_used_and_left_running(
    make: Make, users: Path, name: str, client: docker.DockerClient
) -> None:
    up(users, "queue")
    before = contents(client, name)
    users.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{free_port()}", users.read_text()))
    broker = make(users, "queue")
    broker.start()
    topology.declare(target(broker), (), (topology.QueueDeclaration("kept"),), ())
    flush_metadata(broker)
    broker.kill()
    broker.destroy()
    assert contents(client, name) == before, "killed and not healed, it is started again"
    again = make(users, "queue")
    again.start()
    assert topology.ready_messages(target(again), ["kept"]) == {"kept": 0}


def test_only_what_came_up_is_taken_down(make: Make, users: Path, name: str, client: docker.DockerClient) -> None:
    up(users, "shop")
    client.volumes.get(f"{name}_stored").remove()
    before = contents(client, name)
    assert len(before.containers) == 1
    assert before.volumes == {f"{name}_data", f"{name}_goods"}
    broker = make(users, "queue")
    broker.start()
    during = contents(client, name)
    assert len(during.containers) == 3
    assert during.volumes - before.volumes == {f"{name}_stored"}
    broker.destroy()
    assert contents(client, name) == before


def test_what_had_been_stopped_is_started_with_its_data_and_stopped_again(
    make: Make, users: Path, name: str, client: docker.DockerClient
) -> None:
    first = make(users, "queue")
    up(users, "queue")
    first.start()
    topology.declare(target(first), (), (topology.QueueDeclaration("kept"),), ())
    subprocess.run([*compose_command(), "--file", str(users), "stop"], check=True, capture_output=True)
    before = contents(client, name)
    assert set(before.containers.values()) == {"exited"}
    broker = make(users, "queue")
    broker.start()
    assert topology.ready_messages(target(broker), ["kept"]) == {"kept": 0}
    broker.destroy()
    assert contents(client, name) == before


def test_the_user_that_a_service_sets_is_the_one_that_logs_in(make: Make, users: Path, image: str) -> None:
    if image.startswith("chaos-"):
        pytest.skip("only the official image makes the user that RABBITMQ_DEFAULT_USER names")
    text = users.read_text().replace(
        "hostname: queue",
        f"hostname: queue\n    environment: {{RABBITMQ_DEFAULT_USER: ann, RABBITMQ_DEFAULT_PASS: {PASSWORD}}}",
    )
    users.write_text(text)
    broker = make(users, "queue")
    broker.start()
    assert (broker.endpoint().username, broker.endpoint().password) == ("ann", PASSWORD)
    assert PASSWORD not in str(broker.endpoint())


@pytest.mark.parametrize(
    ("service", "said"),
    [("shop", "publishes no AMQP port"), ("quene", "has no service 'quene', but queue, shop, store")],
)
def test_a_service_that_is_not_fit_is_refused_before_anything_is_started(
    make: Make, users: Path, name: str, client: docker.DockerClient, service: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        make(users, service).start()
    assert contents(client, name) == NOTHING


def test_a_file_that_compose_cannot_read_is_told_in_its_words(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("services: {queue: {imagee: x}}")
    with pytest.raises(BrokerError, match=r"wrong\.yaml failed: .*imagee"):
        make(file, "queue").start()


def test_a_project_that_cannot_come_up_leaves_nothing(
    make: Make, users: Path, name: str, client: docker.DockerClient
) -> None:
    users.write_text(
        users.read_text().replace("hostname: queue", "hostname: queue\n    entrypoint: [/no/such/program]")
    )
    broker = make(users, "queue")
    with pytest.raises(BrokerError, match="/no/such/program"):
        broker.start()
    broker.destroy()
    assert contents(client, name) == NOTHING


def test_what_cannot_be_set_on_a_running_project_is_refused(make: Make, users: Path, name: str, tmp_path: Path) -> None:
    up(users, "queue")
    with pytest.raises(UsageError, match=r"runs already, so broker\.config"):
        make(users, "queue", config={"heartbeat": "17"}).start()
    with pytest.raises(UsageError, match="has one node"):
        make(users, "queue", nodes=3).start()
    other = tmp_path / "other.yaml"
    other.write_text(users.read_text())
    with pytest.raises(UsageError, match=rf"{name} runs already, from {users}"):
        make(other, "queue").start()


def test_a_service_that_runs_and_can_be_reached_from_elsewhere_is_refused(
    make: Make, users: Path, name: str, client: docker.DockerClient
) -> None:
    users.write_text(users.read_text().replace('"127.0.0.1:', '"127.0.0.2:'))
    up(users, "queue")
    before = contents(client, name)
    with pytest.raises(UsageError, match=r"without a fixed AMQP port on 127\.0\.0\.1 alone"):
        make(users, "queue").start()
    assert contents(client, name) == before


def test_two_runs_do_not_share_a_service(make: Make) -> None:
    make().start()
    with pytest.raises(UsageError, match="in use by another run"):
        make().start()


@ALONE
def test_a_harness_that_is_killed_leaves_nothing_after_a_sweep(
    users: Path, name: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    up(users, "shop")
    before = contents(client, name)
    program = f"""
import os, pathlib, signal
from harness.broker.compose import ComposeBroker
from harness.broker.protocol import BrokerSettings
from harness.ledger import Ledger
broker = ComposeBroker(
    BrokerSettings("killed", pathlib.Path({str(tmp_path)!r})), Ledger("killed"), file=pathlib.Path({str(users)!r}), service="queue"
)
broker.start()
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"CHAOS_STATE_DIR": str(tmp_path / "killed")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    left = contents(client, name)
    assert len(left.containers) == 3
    assert all(
        client.containers.get(each).labels[LABEL_OWNER] for each in left.containers.keys() - before.containers.keys()
    )
    sweep()
    assert contents(client, name) == before
