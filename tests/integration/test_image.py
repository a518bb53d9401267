"""Every RabbitMQ image that the engine has: each behaves as the official one does where the harness depends on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pika
import pytest
from _pytest.mark.structures import ParameterSet
from docker.models.containers import Container
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.container import BUILT_IMAGE, ContainerBroker
from harness.broker.docker_engine import LABEL_RUN, connect
from harness.broker.erlang import evaluate
from harness.broker.flush import flush_metadata
from harness.broker.image import REPOSITORY, VERSION_LABEL, is_current
from harness.broker.protocol import BrokerSettings, Endpoint
from harness.errors import ChaosError
from harness.ledger import Ledger
from tests.integration.backends import require

pytestmark = pytest.mark.container
ANSWERS = "exec 3<>/dev/tcp/127.0.0.1/15672; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3"
NONE = "the engine has no image of this recipe; run chaos setup --image"
SECOND_NS = 1_000_000_000
STOP_TIMEOUT_S = 120
"""RabbitMQ 3.8.9 takes 4 s to stop on a quiet machine, 10 s beside three busy processes."""
OFFICIAL_TAGS = ("3.8-management", "3.12-management", "3.13-management", "4-management")


def images() -> list[str]:
    """The images that are there, each once: built ones by their exact version, official ones by the usual tags.

    What another recipe built is no statement about this one.
    """
    with suppress(ChaosError), closing(connect(timeout_s=10)) as client:
        built = [
            tag
            for image in client.images.list(REPOSITORY)
            for tag in image.tags
            if tag != BUILT_IMAGE and is_current(client, tag)
        ]
        official = [
            tag
            for image in client.images.list("rabbitmq")
            for tag in image.tags
            if tag.removeprefix("rabbitmq:") in OFFICIAL_TAGS
        ]
        return sorted(built) + sorted(official)
    return []


class Booted:
    """A node of an image, started once for all that is asked of it."""

    def __init__(self, image: str, directory: Path) -> None:
        run_id = f"test-{secrets.token_hex(4)}"
        self.image = image
        self.ledger = Ledger(run_id)
        # `heartbeat` is a setting that nothing else makes use of.
        settings = BrokerSettings(
            run_id, directory, image=image, config={"heartbeat": "17"}, stop_timeout_s=STOP_TIMEOUT_S
        )
        self.broker = ContainerBroker(settings, self.ledger)
        self._run_id = run_id

    def container(self, client: docker.DockerClient) -> Container:
        (container,) = client.containers.list(all=True, filters={"label": f"{LABEL_RUN}={self._run_id}"})
        return container

    def run(self, client: docker.DockerClient, *command: str) -> str:
        code, output = self.container(client).exec_run(list(command))
        assert isinstance(output, bytes)
        assert code == 0, output
        return output.decode()


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    require("container")
    with closing(connect()) as client:
        yield client


IMAGES = images()


def each_of(found: list[str]) -> list[ParameterSet]:
    """Every change looks at the last one, the newest; the night at the others."""
    return [*(pytest.param(image, marks=pytest.mark.slow) for image in found[:-1]), *map(pytest.param, found[-1:])]


@pytest.fixture(scope="module", params=each_of(IMAGES or [NONE]))
def booted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    require("container")
    if request.param == NONE:
        pytest.skip(NONE)
    booted = Booted(request.param, tmp_path_factory.mktemp("run"))
    try:
        booted.broker.start()
        yield booted
    finally:
        booted.broker.destroy()
        booted.ledger.close()


def publish_confirmed(endpoint: Endpoint, queue: str, body: bytes) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(endpoint.url))) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def fetch(endpoint: Endpoint, queue: str) -> bytes | None:
    with closing(pika.BlockingConnection(pika.URLParameters(endpoint.url))) as connection:
        _, _, body = connection.channel().basic_get(queue, auto_ack=True)
        return bytes(body) if body is not None else None


def test_guest_may_log_in_from_outside_and_the_version_is_the_images(
    booted: Booted, client: docker.DockerClient
) -> None:
    publish_confirmed(booted.broker.endpoint(), "from outside", b"1")
    assert fetch(booted.broker.endpoint(), "from outside") == b"1"
    labelled = client.images.get(booted.image).labels.get(VERSION_LABEL)
    version = booted.broker.versions().rabbitmq
    assert version == labelled if labelled else version.startswith(booted.image.partition(":")[2].split("-")[0])


def test_the_erlang_vm_is_the_main_process_and_no_root(booted: Booted, client: docker.DockerClient) -> None:
    name, user = booted.run(client, "sh", "-c", "cat /proc/1/comm; grep ^Uid: /proc/1/status").splitlines()
    assert name == "beam.smp"
    assert user.split()[1] != "0"


def test_configuration_in_conf_d_is_read(booted: Booted) -> None:
    assert evaluate(booted.broker, "application:get_env(rabbit, heartbeat)") == ("ok", 17)


def test_management_answers(booted: Booted, client: docker.DockerClient) -> None:
    assert booted.broker.control("await_startup").exit_code == 0
    answer = booted.run(client, "bash", "-c", ANSWERS)
    assert answer.split()[1:2] == ["200"], answer


def test_the_log_goes_to_the_console(booted: Booted) -> None:
    (log,) = booted.broker.logs().values()
    assert "accepting AMQP connection" in log


def test_the_tools_are_on_the_path(booted: Booted, client: docker.DockerClient) -> None:
    for tool in ("rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins"):
        assert booted.run(client, tool, "--version")


def test_a_kill_and_a_start_keep_what_was_confirmed(booted: Booted) -> None:
    endpoint = booted.broker.endpoint()
    publish_confirmed(endpoint, "kept", b"before the kill")
    flush_metadata(booted.broker)
    booted.broker.kill()
    booted.broker.start_node()
    assert fetch(endpoint, "kept") == b"before the kill"


def test_a_stop_is_clean_and_keeps_what_was_confirmed(booted: Booted) -> None:
    endpoint = booted.broker.endpoint()
    publish_confirmed(endpoint, "kept", b"before the stop")
    report = booted.broker.stop()
    assert (report.clean, report.exit_code) == (True, 0)
    booted.broker.start_node()
    assert fetch(endpoint, "kept") == b"before the stop"


def test_the_data_lie_in_the_volume(booted: Booted, client: docker.DockerClient) -> None:
    mounts = booted.container(client).attrs["Mounts"]
    assert [(mount["Type"], mount["Destination"]) for mount in mounts] == [("volume", "/var/lib/rabbitmq")]
    assert "/var/lib/rabbitmq" in client.images.get(booted.image).attrs["Config"]["Volumes"]
    assert {"5672/tcp", "15672/tcp"} <= client.images.get(booted.image).attrs["Config"]["ExposedPorts"].keys()


@pytest.mark.parametrize("image", each_of([image for image in IMAGES if image.startswith(REPOSITORY)] or [BUILT_IMAGE]))
def test_a_built_image_tells_when_it_is_healthy(image: str, client: docker.DockerClient) -> None:
    assert client.images.get(image).attrs["Config"].get("Healthcheck"), (
        "it is of before the health check; build it again"
    )
    container = client.containers.create(image, hostname="n1", healthcheck={"interval": SECOND_NS, "retries": 1})
    try:
        container.start()
        assert wait_for_health(container) == "healthy"
    finally:
        container.remove(force=True, v=True)


@retry(stop=stop_after_delay(90), wait=wait_fixed(0.2), retry=retry_if_result(lambda state: state == "starting"))
def wait_for_health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])
