"""The container backend: RabbitMQ in containers of the run's own, published on 127.0.0.1 only."""

from __future__ import annotations

import io
import secrets
import tarfile
from contextlib import closing, suppress

import docker
from docker.errors import APIError
from docker.models.containers import Container

from harness.broker.awake import processors_awake
from harness.broker.cluster import wait_until_formed
from harness.broker.docker_engine import connect, engine_errors, image_present, run_labels
from harness.broker.docker_leftovers import remove_run
from harness.broker.docker_node import DockerNode
from harness.broker.node_files import AMQP_PORT, CONFIGURATION, DATA, File, archive, configuration
from harness.broker.ports import free_port
from harness.broker.protocol import (
    CONTROL_TIMEOUT_S,
    Ability,
    BrokerSettings,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.broker.ready import wait_until_ready
from harness.errors import BrokerError
from harness.interrupts import shielded
from harness.ledger import Ledger

DEFAULT_IMAGE = "rabbitmq:4-management"
BUILT_IMAGE = "chaos-rabbitmq:4"
PORT_TAKEN = ("address already in use", "port is already allocated")
"""What the engine says when another program, or another container, has the host's port."""
START_ATTEMPTS = 3
"""How often to start with another port when the chosen one was taken in between."""


class ContainerBroker:
    """One node, or a cluster of several, each in a container with a pinned hostname, a volume and a fixed port."""

    name = "container"
    abilities = frozenset(Ability)

    def __init__(self, settings: BrokerSettings, ledger: Ledger) -> None:
        """Prepare; nothing is started. The ledger's owner is written into labels, so that a sweep knows it."""
        self._settings = settings
        self._ledger = ledger
        self._image = settings.image or DEFAULT_IMAGE
        self._client: docker.DockerClient | None = None
        self._nodes: list[DockerNode] = []
        self._ports: list[int] = []
        self._last_logs: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(node.name for node in self._nodes)

    def start(self) -> None:
        """Make network, volumes and containers, start them; waits until each answers and, if several, they are a cluster."""
        client = self._client = connect()
        if not image_present(client, self._image):
            raise BrokerError(
                f"the engine has no image {self._image}; pull it (docker pull {self._image}) or build one (chaos setup --image)"
            )
        self._ports = [free_port() for _ in range(self._settings.nodes)]
        with processors_awake():
            self._start_nodes(client)
        wait_until_formed(self, self._settings.start_timeout_s)

    def _start_nodes(self, client: docker.DockerClient) -> None:
        network = self._make_network(client) if self._settings.nodes > 1 else None
        cookie = secrets.token_hex(20)
        for index in range(self._settings.nodes):
            # A request that is cut off may still be carried out, after the clean-up has looked what there is.
            with shielded():
                self._nodes.append(DockerNode(self._create(client, index, network, cookie), _node_name(index)))
            if index == 0:
                # The others join it; two that meet half-born could form two clusters.
                self.ready(0)
        for index in range(1, self._settings.nodes):
            self.ready(index)

    def _make_network(self, client: docker.DockerClient) -> str:
        name = f"chaos-{self._settings.run_id}"
        with engine_errors("making the cluster's network"):
            client.networks.create(name, driver="bridge", labels=run_labels(self._settings.run_id))
        return name

    def _create(self, client: docker.DockerClient, index: int, network: str | None, cookie: str) -> Container:
        """Create a node's container and start it: a host port that was taken meanwhile shows only then."""
        hostname = _node_name(index).partition("@")[2]
        peers = (_node_name(0), _node_name(index)) if index else ()
        name = f"chaos-{self._settings.run_id}-{hostname}"
        for attempt in range(START_ATTEMPTS):
            with engine_errors(f"creating the container {name}"):
                volume = client.volumes.create(f"{name}-data-{attempt}", labels=run_labels(self._settings.run_id))
                container = client.containers.create(
                    self._image,
                    name=name,
                    hostname=hostname,
                    labels=run_labels(self._settings.run_id),
                    ports={f"{AMQP_PORT}/tcp": ("127.0.0.1", self._ports[index])},
                    volumes={volume.name: {"bind": DATA, "mode": "rw"}},
                    network=network,
                    # The harness asks for itself; another asker inside would take part in what is measured.
                    healthcheck={"test": ["NONE"]},
                    environment={"RABBITMQ_NODENAME": _node_name(index)},
                )
                container.put_archive(CONFIGURATION, configuration(self._settings, peers))
                if network is not None:
                    uid, gid = _owner_of_data(container)
                    container.put_archive(DATA, archive({".erlang.cookie": File(cookie, 0o400)}, uid=uid, gid=gid))
            try:
                container.start()
            except APIError as error:
                container.remove(force=True, v=True)
                with suppress(APIError):
                    volume.remove()
                if not any(said in str(error) for said in PORT_TAKEN) or attempt == START_ATTEMPTS - 1:
                    raise BrokerError(f"starting the container {name} failed: {error.explanation}") from error
                self._ports[index] = free_port()
            else:
                return container
        raise BrokerError(f"no free port was found for the container {name}")

    def endpoint(self, node: int = 0) -> Endpoint:
        """Where clients connect to: the published port, the same over restarts."""
        return Endpoint("127.0.0.1", self._ports[node])

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait for handshake and login; a container that ended is told at once."""
        chosen = self._nodes[node]
        wait_until_ready(self.endpoint(node), timeout_s or self._settings.start_timeout_s, gone=chosen.exit_sentence)

    def stop(self, node: int = 0) -> StopReport:
        """Stop a node in order."""
        return self._nodes[node].stop(self._settings.stop_timeout_s)

    def start_node(self, node: int = 0) -> None:
        """Start a node again with its data.

        Of a cluster's nodes that start at the same moment, one may end as it boots: RabbitMQ asks the others while its database runs without
        a folder, and a node that joins in between makes it write there (`Cannot create Mnesia dir`; seen on 4.0.5, once in 10 times under
        load). A supervisor would start it again, so it is started twice.
        """
        with processors_awake():
            try:
                self._boot(node)
            except BrokerError:
                if len(self._nodes) == 1 or self.alive(node):
                    raise
                self._boot(node)

    def _boot(self, node: int) -> None:
        self._nodes[node].start()
        self.ready(node)

    def kill(self, node: int = 0) -> None:
        """SIGKILL."""
        self._nodes[node].kill()

    def pause(self, node: int = 0) -> None:
        """Freeze."""
        self._nodes[node].pause()

    def resume(self, node: int = 0) -> None:
        """Thaw."""
        self._nodes[node].resume()

    def alive(self, node: int = 0) -> bool:
        """Whether the container runs (frozen counts)."""
        return self._nodes[node].state() in ("running", "paused")

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:
        """Run rabbitmqctl in the container."""
        return self._nodes[node].control(*arguments, timeout_s=timeout_s)

    def versions(self) -> BrokerVersions:
        """What the first node says of itself, and its image."""
        return self._nodes[0].versions(self.endpoint())

    def logs(self) -> dict[str, str]:
        """Each node's console log so far."""
        if not self._nodes:
            return self._last_logs
        return {node.name: node.log() for node in self._nodes}

    def destroy(self) -> None:
        """Remove containers, volumes and network of this run."""
        if self._client is None:
            return
        with suppress(BrokerError):
            self._last_logs = self.logs()
        self._nodes = []
        client, self._client = self._client, None
        with closing(client):
            remove_run(client, self._settings.run_id)


def _node_name(index: int) -> str:
    """Name a node; its part behind the @ is the container's hostname, pinned because the data belong to the name."""
    return f"rabbit@n{index + 1}"


def _owner_of_data(container: Container) -> tuple[int, int]:
    """Return uid and gid of the user that the data belongs to, as the image has them."""
    stream, _ = container.get_archive(DATA)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        member = tar.getmembers()[0]
    return member.uid, member.gid
