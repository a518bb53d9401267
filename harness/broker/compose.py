"""The compose backend: the service of a compose project, started through `docker compose`, its faults through the engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import docker
from docker.models.containers import Container

from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE
from harness.broker.docker_engine import connect, engine_errors, image_present
from harness.broker.docker_node import DockerNode
from harness.broker.protocol import Ability, BrokerSettings, BrokerVersions, ControlResult, Endpoint, StopReport
from harness.broker.ready import server_version, wait_until_ready
from harness.errors import BackendUnavailableError, BrokerError, UsageError
from harness.ledger import Ledger

AMQP_PORT = "5672/tcp"
UP_TIMEOUT_S = 300
SERVICE_LABEL = "com.docker.compose.service"
FILES_LABEL = "com.docker.compose.project.config_files"


def compose_command() -> list[str]:
    """Return the compose command of this machine. Raises BackendUnavailableError."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip().lstrip("v")[:1].isdigit() and not done.stdout.startswith("1."):
            return command
    raise BackendUnavailableError(
        "Docker's compose plugin (version 2) is not installed; install docker-compose-v2 or docker-compose-plugin, or run `chaos setup --compose`"
    )


class ComposeBroker:
    """One service of a compose project. A project that ran before is left running; one started here is taken down again."""

    name = "compose"
    abilities = frozenset(Ability)

    def __init__(self, settings: BrokerSettings, ledger: Ledger, *, file: Path, service: str) -> None:
        """Prepare; nothing is started. `file` is the project's compose file."""
        self._settings = settings
        self._ledger = ledger
        self._file = file
        self._service = service
        self._client: docker.DockerClient | None = None
        self._node: DockerNode | None = None
        self._endpoint: Endpoint | None = None
        self._ours = False
        self._last_logs: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The service, as one node."""
        return (self._service,)

    def start(self) -> None:
        """Bring the service up unless it runs, and wait until it answers."""
        if not self._file.is_file():
            raise UsageError(f"there is no compose file {self._file}; name it with --broker compose:FILE")
        client = self._client = connect()
        container = self._container(client)
        if container is None or container.status != "running":
            self._ours = container is None
            self._compose("up", "--detach", "--no-build", self._service)
            container = self._container(client)
        if container is None:
            raise BrokerError(f"{self._file}: the project came up without a container of service {self._service!r}")
        self._node = DockerNode(container, self._service)
        self._endpoint = self._published(container)
        self.ready()

    def _compose(self, *arguments: str) -> None:
        environment = dict(os.environ)
        image = self._settings.image or environment.get("CHAOS_IMAGE") or self._image_at_hand()
        environment |= {"CHAOS_IMAGE": image} if image else {}
        command = [*compose_command(), "--file", str(self._file), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=UP_TIMEOUT_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"docker compose {arguments[0]} of {self._file} did not end within {UP_TIMEOUT_S} s"
            ) from error
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise BrokerError(
                f"docker compose {arguments[0]} of {self._file} failed: {lines[-1] if lines else 'it said nothing'}"
            )

    def _image_at_hand(self) -> str:
        """Return the image built here where the official one is not at hand; empty to leave the choice to the project."""
        assert self._client is not None  # noqa: S101 - compose runs between start and destroy
        official = image_present(self._client, DEFAULT_IMAGE)
        return BUILT_IMAGE if not official and image_present(self._client, BUILT_IMAGE) else ""

    def _container(self, client: docker.DockerClient) -> Container | None:
        with engine_errors(f"looking for service {self._service}"):
            found = client.containers.list(all=True, filters={"label": f"{SERVICE_LABEL}={self._service}"})
        wanted = str(self._file.resolve())
        mine = [each for each in found if wanted in str(each.labels.get(FILES_LABEL, "")).split(",")]
        return mine[0] if mine else None

    def _published(self, container: Container) -> Endpoint:
        """Read where AMQP is published, and the user that the container was given. Raises UsageError."""
        with engine_errors(f"looking at service {self._service}"):
            container.reload()
        bindings = container.attrs["NetworkSettings"]["Ports"].get(AMQP_PORT) or []
        local = [each for each in bindings if each.get("HostIp") == "127.0.0.1"]
        if not bindings:
            raise UsageError(
                f'{self._file}: service {self._service} publishes no AMQP port; add ports: ["127.0.0.1:5672:5672"]'
            )
        if not local:
            raise UsageError(
                f"{self._file}: service {self._service} publishes AMQP on {bindings[0].get('HostIp') or 'every address'}; "
                "publish it on 127.0.0.1 only"
            )
        environment = dict(each.partition("=")[::2] for each in container.attrs["Config"].get("Env") or [])
        return Endpoint(
            "127.0.0.1",
            int(local[0]["HostPort"]),
            environment.get("RABBITMQ_DEFAULT_USER", "guest"),
            environment.get("RABBITMQ_DEFAULT_PASS", "guest"),
            environment.get("RABBITMQ_DEFAULT_VHOST", "/"),
        )

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

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 30.0) -> ControlResult:  # noqa: ARG002
        """Run rabbitmqctl in the container."""
        return self._started().execute(["rabbitmqctl", "-q", "-t", str(int(timeout_s)), *arguments])

    def versions(self) -> BrokerVersions:
        """What the broker tells in its handshake."""
        return BrokerVersions(rabbitmq=server_version(self.endpoint()), image=self._settings.image)

    def logs(self) -> dict[str, str]:
        """The container's log so far."""
        return {self._service: self._node.log()} if self._node is not None else self._last_logs

    def destroy(self) -> None:
        """Take down what was started here, with its volumes; leave what ran before."""
        if self._client is None:
            return
        if self._node is not None:
            self._last_logs = self.logs()
            self._node.resume()
        if self._ours:
            self._compose("down", "--volumes", "--timeout", "10")
        self._client.close()
        self._client = self._node = None
