"""A compose project as `docker compose` itself understands it: its name, its services, what a service publishes and brings along."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.broker.compose_file import check
from harness.broker.docker_engine import without_engine_password
from harness.broker.node_files import AMQP_PORT
from harness.errors import BackendUnavailableError, BrokerError, UsageError
from harness.plain import shortened

TIMEOUT_S = 300.0
"""How long bringing a project up may take: it may pull and build its images."""
READ_TIMEOUT_S = 20.0
"""How long it may take to read a project, which compose does within a second; a file of nested aliases takes it minutes."""
VERSION_TIMEOUT_S = 20.0
"""How long compose may take to say its version, on a machine that is busy."""

COMPLAINT_LENGTH = 500


def compose_command() -> list[str]:
    """Return the compose command of this machine. Raises BackendUnavailableError."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        try:
            done = run_bounded([*command, "version", "--short"], VERSION_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise BackendUnavailableError(
                f"`{' '.join(command)} version` did not end within {VERSION_TIMEOUT_S:g} s; is the machine, or Docker, overloaded?"
            ) from error
        if done.returncode == 0 and done.stdout.strip().lstrip("v")[:1].isdigit() and not done.stdout.startswith("1."):
            return command
    raise BackendUnavailableError(
        "Docker's compose plugin (version 2) is not installed; install docker-compose-v2 or docker-compose-plugin, or run `chaos setup --compose`"
    )


def run_bounded(
    command: Sequence[str], within_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it said. Raises TimeoutExpired, once it and all that it started are ended.

    `docker compose` is a process that starts another one: with the first alone gone, the second goes on, and holds its output open.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        env=None if environment is None else dict(environment),
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=within_s)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@dataclass(frozen=True, slots=True)
class Compose:
    """`docker compose` for one project file, with an environment."""

    file: Path
    environment: Mapping[str, str]

    def run(self, command: str, *arguments: str, more_files: tuple[Path, ...] = (), within_s: float = TIMEOUT_S) -> str:
        """Run a command, with all profiles, and return its output. Raises BrokerError with what it complained of."""
        files = [option for file in (self.file, *more_files) for option in ("--file", str(file))]
        what = f"docker compose {command} of {self.file}"
        try:
            done = run_bounded(
                [*compose_command(), *files, "--profile", "*", command, *arguments], within_s, self.environment
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"{what} did not end within {within_s:g} s; try it by hand") from error
        if done.returncode != 0:
            raise BrokerError(without_engine_password(f"{what} failed: {_complaint(command, done.stderr)}"))
        return done.stdout


def _complaint(command: str, said: str) -> str:
    """Return on one line what compose complained of: all that `config` says, and the last line of a command that shows its progress."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "level=warning" not in line]
    told = lines if command == "config" else lines[-1:]
    return shortened(" ".join(told), COMPLAINT_LENGTH) or "it said nothing"


@dataclass(frozen=True, slots=True)
class Project:
    """What `docker compose config` makes of a file, for one of its services."""

    file: Path
    name: str
    service: str
    _model: Mapping[str, Any]

    def published_port(self) -> int:
        """Return the host's port of the service's AMQP port. Raises UsageError unless it is fixed and on 127.0.0.1 only."""
        service = self._model["services"][self.service]
        where = f"{self.file}: service {self.service}"
        fix = 'say ports: ["127.0.0.1:5672:5672"]'
        published = [port for port in service.get("ports") or () if int(port["target"]) == AMQP_PORT]
        if service.get("network_mode") == "host":
            raise UsageError(f"{where} is on the host's network, so it listens on every address; {fix} instead")
        if not published:
            raise UsageError(f"{where} publishes no AMQP port; {fix}")
        for port in published:
            if port.get("host_ip") != "127.0.0.1":
                raise UsageError(f"{where} publishes AMQP on {port.get('host_ip') or 'every address'}; {fix}")
        if not str(published[0].get("published") or "").isdecimal():
            raise UsageError(f"{where} publishes AMQP on a port that may change when it starts again; {fix}")
        return int(published[0]["published"])

    def brought_along(self) -> tuple[str, ...]:
        """Return the services that come up with the service: itself, and what it depends on, and so on."""
        found: list[str] = []
        queue = [self.service]
        while queue:
            service = queue.pop()
            if service not in found:
                found.append(service)
                queue += self._model["services"].get(service, {}).get("depends_on") or {}
        return tuple(found)

    def volumes(self) -> tuple[str, ...]:
        """Return the engine's names of the project's volumes: compose makes all of them with any service."""
        return self._own("volumes")

    def networks(self) -> tuple[str, ...]:
        """Return the engine's names of the project's networks."""
        return self._own("networks")

    def _own(self, kind: str) -> tuple[str, ...]:
        described = (self._model.get(kind) or {}).values()
        return tuple(sorted(str(each["name"]) for each in described if not each.get("external")))


def read(compose: Compose, service: str) -> Project:
    """Read a project. Raises UsageError for a file or service that is not there, BrokerError for one that compose refuses."""
    check(compose.file, None)
    model = json.loads(compose.run("config", "--format", "json", within_s=READ_TIMEOUT_S))
    services = sorted(model.get("services") or {})
    if service not in services:
        raise UsageError(
            f"{compose.file} has no service {service!r}, but {', '.join(services) or 'none'}; "
            f"name one with --broker compose:{compose.file}:SERVICE"
        )
    return Project(compose.file, str(model["name"]), service, model)
