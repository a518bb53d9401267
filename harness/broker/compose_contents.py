"""What a compose project has in the engine, and taking away again what came up with a service."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import docker
from docker.errors import NotFound

from harness.broker.docker_engine import engine_errors

LABEL_PROJECT = "com.docker.compose.project"
_AT_REST = ("created", "exited")


@dataclass(frozen=True, slots=True)
class Contents:
    """A project's containers by id with their state, and the names of its volumes and networks."""

    containers: Mapping[str, str]
    volumes: frozenset[str]
    networks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Addition:
    """What came up between two looks: containers to remove, containers to stop again, volumes and networks to remove."""

    made: frozenset[str]
    started: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]


def contents(client: docker.DockerClient, project: str) -> Contents:
    """Look at a project. Raises BrokerError."""
    filters: dict[str, str | list[str] | bool] = {"label": f"{LABEL_PROJECT}={project}"}
    with engine_errors(f"looking at project {project}"):
        containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
        return Contents(
            {str(container.id): str(container.status) for container in containers},
            frozenset(str(volume.name) for volume in client.volumes.list(filters=filters)),
            frozenset(str(network.name) for network in client.networks.list(filters=filters)),
        )


def added(before: Contents, after: Contents) -> Addition:
    """Tell what came up between two looks."""
    return Addition(
        made=frozenset(after.containers.keys() - before.containers.keys()),
        started=frozenset(
            number
            for number, state in after.containers.items()
            if before.containers.get(number) in _AT_REST and state not in _AT_REST
        ),
        volumes=after.volumes - before.volumes,
        networks=after.networks - before.networks,
    )


def take_away(client: docker.DockerClient, addition: Addition) -> None:
    """Remove and stop what came up, and nothing else; what is gone already is no error. Raises BrokerError."""
    with engine_errors("taking the compose project down"):
        for number in addition.made:
            with suppress(NotFound):
                client.containers.get(number).remove(force=True, v=True)
        for number in addition.started:
            with suppress(NotFound):
                container = client.containers.get(number)
                if container.status == "paused":
                    container.unpause()
                container.stop()
        for name in addition.volumes:
            with suppress(NotFound):
                client.volumes.get(name).remove()
        for name in addition.networks:
            with suppress(NotFound):
                client.networks.get(name).remove()
