"""Removing what runs started in a Docker engine: a run's own things at its end, and what dead harnesses left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from harness.broker.docker_engine import (
    ANSWER_TIMEOUT_S,
    LABEL_MADE,
    LABEL_OWNER,
    LABEL_RUN,
    connect,
    engine_errors,
)
from harness.errors import BrokerError
from harness.ledger import owner_alive

Filters = dict[str, str | list[str] | bool]


def remove_run(client: docker.DockerClient, run_id: str) -> tuple[str, ...]:
    """Remove a run's containers, volumes and networks; returns one line for each. Raises BrokerError."""
    return tuple(_remove(client, f"{LABEL_RUN}={run_id}"))


def sweep() -> tuple[str, ...]:
    """Remove what dead harnesses left; returns one line for each thing. Raises BrokerError without an engine."""
    removed: list[str] = []
    with closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client:
        for owner in _dead_owners(client):
            # Another sweep may be at it at the same time; what one cannot remove now, the next one does.
            with suppress(BrokerError):
                removed += _remove(client, f"{LABEL_OWNER}={owner}")
    return tuple(removed)


def left_behind() -> int:
    """Count the dead harnesses that left something. Raises BrokerError without an engine."""
    with closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client:
        return len(_dead_owners(client))


def _dead_owners(client: docker.DockerClient) -> list[str]:
    filters: Filters = {"label": LABEL_OWNER}
    with engine_errors("looking for what dead runs left"):
        labels = [
            *(container.labels for container in client.containers.list(all=True, filters=filters, ignore_removed=True)),
            *(volume.attrs.get("Labels") or {} for volume in client.volumes.list(filters=filters)),
            *(network.attrs.get("Labels") or {} for network in client.networks.list(filters=filters)),
        ]
    return sorted(owner for owner in {each[LABEL_OWNER] for each in labels} if not owner_alive(owner))


def _remove(client: docker.DockerClient, label: str) -> Iterator[str]:
    """Remove what carries a label, and what a container's label says was made with it: containers first."""
    filters: Filters = {"label": label}
    with engine_errors("removing what a run started"):
        containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
        volumes = {str(volume.name) for volume in client.volumes.list(filters=filters)}
        networks = {str(network.name) for network in client.networks.list(filters=filters)}
        for container in containers:
            volumes |= _made_with(client, container)
            networks |= _named(container, "network")
            with _gone_already():
                container.remove(force=True, v=True)
                yield f"container {container.name}"
        for name in sorted(volumes):
            with _gone_already():
                client.volumes.get(name).remove(force=True)
                yield f"volume {name}"
        for name in sorted(networks):
            with _gone_already():
                client.networks.get(name).remove()
                yield f"network {name}"


def _named(container: Container, kind: str) -> set[str]:
    made = (each.partition(":") for each in container.labels.get(LABEL_MADE, "").split(","))
    return {name for said, _, name in made if said == kind}


def _made_with(client: docker.DockerClient, container: Container) -> set[str]:
    """Return the volumes that a container names and that are not younger than it: somebody may have used a name since."""
    made = set()
    for name in _named(container, "volume"):
        with suppress(NotFound):
            volume = client.volumes.get(name)
            if _second(volume.attrs["CreatedAt"]) <= _second(container.attrs["Created"]):
                made.add(name)
    return made


def _second(text: str) -> datetime:
    """Read the engine's time, of which volumes know whole seconds only."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", text))


@contextmanager
def _gone_already() -> Iterator[None]:
    """Do not mind that something was removed by somebody else, or is being removed."""
    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error):
            raise
