"""The compose backend: the service of a compose project, started through `docker compose`, its faults through the engine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import docker
from docker.models.containers import Container

from harness.broker.compose_contents import LABEL_PROJECT, Addition, Contents, added, contents, take_away
from harness.broker.compose_project import Compose, Project, read
from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE
from harness.broker.docker_engine import LABEL_MADE, LABEL_OWNER, connect, engine_errors, image_present, run_labels
from harness.broker.docker_node import DockerNode
from harness.broker.node_files import AMQP_PORT, CONFIGURATION, configuration
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
from harness.errors import BrokerError, UsageError
from harness.ledger import Ledger, owner_alive

LABEL_SERVICE = "com.docker.compose.service"
LABEL_ONE_OFF = "com.docker.compose.oneoff"
LABEL_FILES = "com.docker.compose.project.config_files"


class ComposeBroker:
    """One service of a compose project.

    A service that runs already is used as it is and left running. Otherwise it is brought up, and in the end the project is as it
    was before: what came up with it is removed, what had been stopped is stopped, and nothing else is touched.
    """

    name = "compose"
    abilities = frozenset(Ability)

    def __init__(self, settings: BrokerSettings, ledger: Ledger, *, file: Path, service: str) -> None:
        """Prepare; nothing is started. `file` is the project's compose file."""
        self._settings = settings
        self._ledger = ledger
        self._compose = Compose(file, os.environ)
        self._service = service
        self._client: docker.DockerClient | None = None
        self._node: DockerNode | None = None
        self._endpoint: Endpoint | None = None
        self._addition: Addition | None = None
        self._last_logs: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The service, as one node."""
        return (self._service,)

    def start(self) -> None:
        """Bring the service up unless it runs, and wait until it answers. Raises UsageError for a project that is not fit for it."""
        if self._settings.nodes > 1:
            raise UsageError("the compose backend has one node; a cluster (broker.nodes) takes container or native")
        client = self._client = connect()
        self._compose = Compose(self._compose.file, self._environment(client))
        project = read(self._compose, self._service)
        container = self._container(client, project)
        if container is not None and container.status in ("running", "paused"):
            self._refuse_what_cannot_be_set(container, project)
            port = self._port_of(container)
        else:
            port = project.published_port()
            before = contents(client, project.name)
            try:
                container = self._bring_up(client, project, before, known=container is not None)
            finally:
                self._addition = added(before, contents(client, project.name))
        self._node = DockerNode(container, self._service)
        self._endpoint = _endpoint(container, port)
        self.ready()

    def _environment(self, client: docker.DockerClient) -> Mapping[str, str]:
        """Name the image for a project that leaves it to CHAOS_IMAGE: as asked, else one that is at hand."""
        image = self._settings.image or os.environ.get("CHAOS_IMAGE", "")
        if not image and not image_present(client, DEFAULT_IMAGE) and image_present(client, BUILT_IMAGE):
            image = BUILT_IMAGE
        return os.environ | ({"CHAOS_IMAGE": image} if image else {})

    def _refuse_what_cannot_be_set(self, container: Container, project: Project) -> None:
        where = f"service {self._service} of project {project.name}"
        files = str(container.labels.get(LABEL_FILES, "")).split(",")
        if str(project.file.resolve()) not in files and str(project.file.absolute()) not in files:
            raise UsageError(f"{where} runs already, from {files[0]}; take it down, or set COMPOSE_PROJECT_NAME")
        owner = container.labels.get(LABEL_OWNER)
        if owner is not None and owner_alive(owner):
            raise UsageError(f"{where} is in use by another run; wait for its end, or set COMPOSE_PROJECT_NAME")
        if self._settings.config or self._settings.plugins:
            raise UsageError(
                f"{where} runs already, so broker.config and broker.plugins cannot be set; take it down, or take them out"
            )

    def _bring_up(self, client: docker.DockerClient, project: Project, there: Contents, *, known: bool) -> Container:
        with tempfile.TemporaryDirectory(prefix="chaos-compose-") as folder:
            labels = Path(folder) / "labels.json"
            labels.write_text(json.dumps(self._labels(client, project, there)), encoding="utf-8")
            # A container that was there keeps its labels: another configuration would make compose create it anew.
            more = () if known else (labels,)
            self._compose.run("up", "--no-start", "--quiet-pull", self._service, more_files=more)
            container = self._container(client, project)
            if container is None:
                raise BrokerError(f"{project.file}: the project came up without a container of service {self._service}")
            settings = self._settings
            if settings.config or settings.plugins or settings.permit:
                with engine_errors(f"configuring service {self._service}"):
                    container.put_archive(CONFIGURATION, configuration(settings))
            self._compose.run("up", "--detach", self._service, more_files=more)
        return container

    def _labels(self, client: docker.DockerClient, project: Project, there: Contents) -> dict[str, object]:
        """Return a compose file that labels what will be made, so that a sweep finds it when this process is killed.

        Volumes and networks are named on the containers: a label of their own would have compose offer to make them anew.
        """
        made = [f"volume:{name}" for name in project.volumes() if name not in there.volumes]
        made += [f"network:{name}" for name in project.networks() if name not in there.networks]
        labels = run_labels(self._settings.run_id) | {LABEL_MADE: ",".join(made)}
        new = [name for name in project.brought_along() if self._container(client, project, name) is None]
        return {"services": {name: {"labels": labels} for name in new}}

    def _container(self, client: docker.DockerClient, project: Project, service: str = "") -> Container | None:
        service = service or self._service
        labels = [f"{LABEL_PROJECT}={project.name}", f"{LABEL_SERVICE}={service}", f"{LABEL_ONE_OFF}=False"]
        with engine_errors(f"looking for service {service}"):
            found = client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return found[0] if found else None

    def _port_of(self, running: Container) -> int:
        """Return the port of a service that runs, whatever its file says by now. Raises UsageError unless it is fixed and local."""
        bindings = running.attrs["HostConfig"].get("PortBindings") or {}
        published = bindings.get(f"{AMQP_PORT}/tcp") or []
        if [each["HostIp"] for each in published] != ["127.0.0.1"] or not published[0]["HostPort"].isdecimal():
            raise UsageError(
                f"service {self._service} runs without a fixed AMQP port on 127.0.0.1 alone; "
                f'say ports: ["127.0.0.1:5672:5672"] in {self._compose.file}, and bring it up again'
            )
        return int(published[0]["HostPort"])

    def endpoint(self, node: int = 0) -> Endpoint:  # noqa: ARG002 - one node
        """Where clients connect to."""
        assert self._endpoint is not None  # noqa: S101 - asked after the start
        return self._endpoint

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait for handshake and login; a container that ended is told at once."""
        gone = self._started().exit_sentence
        wait_until_ready(self.endpoint(node), timeout_s or self._settings.start_timeout_s, gone=gone)

    def _started(self) -> DockerNode:
        assert self._node is not None  # noqa: S101 - asked after the start
        return self._node

    def stop(self, node: int = 0) -> StopReport:  # noqa: ARG002
        """Stop the container in order."""
        return self._started().stop(self._settings.stop_timeout_s)

    def start_node(self, node: int = 0) -> None:
        """Start the container again."""
        self._started().start()
        self.ready(node)

    def kill(self, node: int = 0) -> None:  # noqa: ARG002
        """SIGKILL."""
        self._started().kill()

    def pause(self, node: int = 0) -> None:  # noqa: ARG002
        """Freeze."""
        self._started().pause()

    def resume(self, node: int = 0) -> None:  # noqa: ARG002
        """Thaw."""
        self._started().resume()

    def alive(self, node: int = 0) -> bool:  # noqa: ARG002
        """Whether the container runs."""
        return self._started().state() in ("running", "paused")

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:  # noqa: ARG002
        """Run rabbitmqctl in the container."""
        return self._started().control(*arguments, timeout_s=timeout_s)

    def versions(self) -> BrokerVersions:
        """What the node says of itself, and its image."""
        return self._started().versions(self.endpoint())

    def logs(self) -> dict[str, str]:
        """The container's log so far."""
        return {self._service: self._node.log()} if self._node is not None else self._last_logs

    def destroy(self) -> None:
        """Put the project back to what it was before the start."""
        client, self._client = self._client, None
        node, self._node = self._node, None
        if client is None:
            return
        with closing(client):
            if node is not None:
                with suppress(BrokerError):
                    self._last_logs = {self._service: node.log()}
            if self._addition is not None:
                take_away(client, self._addition)
            elif node is not None:
                node.revive()


def _endpoint(container: Container, port: int) -> Endpoint:
    """Return where clients connect to, with the user that the container was given."""
    environment = dict(each.partition("=")[::2] for each in container.attrs["Config"].get("Env") or [])
    return Endpoint(
        "127.0.0.1",
        port,
        environment.get("RABBITMQ_DEFAULT_USER", "guest"),
        environment.get("RABBITMQ_DEFAULT_PASS", "guest"),
        environment.get("RABBITMQ_DEFAULT_VHOST", "/"),
    )
