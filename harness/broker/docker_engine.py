"""The Docker engine: one way to reach it, and one sentence when it cannot be."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from weakref import WeakSet

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from harness.errors import BackendUnavailableError, BrokerError
from harness.ledger import owner_label

LABEL_RUN = "io.chaos-harness.run"
LABEL_OWNER = "io.chaos-harness.owner"
"""The process that started it; what it left may be removed when that process is dead."""
LABEL_MADE = "io.chaos-harness.made"
"""On a container: volumes and networks that were made with it and cannot carry labels, like `volume:NAME,network:NAME`."""
TIMEOUT_S = 120
"""How long a call may take; rabbitmqctl in a container on a busy machine is the slowest."""
ANSWER_TIMEOUT_S = 10
"""How long an engine may take to answer a simple question, and to answer anything once it has left a call unanswered."""
_clients: WeakSet[docker.DockerClient] = WeakSet()


def run_labels(run_id: str) -> dict[str, str]:
    """Return the labels of what this process starts for a run."""
    return {LABEL_RUN: run_id, LABEL_OWNER: owner_label()}


def connect(timeout_s: float = TIMEOUT_S) -> docker.DockerClient:
    """Connect to the engine that the environment names. Raises BackendUnavailableError if none answers, or one that is elsewhere."""
    named = os.environ.get("DOCKER_HOST", "")
    elsewhere = _other_machine(named)
    if elsewhere:
        raise BackendUnavailableError(
            f"the Docker engine that DOCKER_HOST names is on {elsewhere}, whose ports on 127.0.0.1 cannot be reached from here; "
            "use an engine of this machine, or --broker native"
        )
    try:
        client = docker.from_env(timeout=math.ceil(timeout_s))
        try:
            client.ping()
        except BaseException:
            client.close()
            raise
    except (DockerException, requests.RequestException, OSError) as error:
        where = f" at {named}, which DOCKER_HOST names" if named else ""
        raise BackendUnavailableError(
            f"no Docker engine answers{where}; start one (e.g. systemctl start docker), set DOCKER_HOST, or use --broker native"
        ) from error
    _clients.add(client)
    return client


def _other_machine(docker_host: str) -> str:
    """Return the machine that an engine's address names; empty for this one."""
    parts = urlsplit(docker_host)
    if parts.scheme not in ("tcp", "http", "https", "ssh"):
        return ""
    return "" if parts.hostname in (None, "localhost", "127.0.0.1", "::1") else str(parts.hostname)


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the engine or its absence throws into one sentence that says what was being done."""
    try:
        yield
    except NotFound as error:
        raise BrokerError(f"{doing} failed: it is not there any more") from error
    except APIError as error:
        raise BrokerError(f"{doing} failed: {error.explanation or error}") from error
    except (DockerException, requests.RequestException) as error:
        if isinstance(error, requests.ReadTimeout):
            # A frozen engine leaves every call unanswered; the clean-up, which makes several, must come to an end.
            for client in _clients:
                client.api.timeout = min(client.api.timeout, ANSWER_TIMEOUT_S)
        raise BrokerError(f"{doing} failed: the Docker engine does not answer ({type(error).__name__})") from error


def image_present(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine has an image."""
    try:
        client.images.get(image)
    except NotFound:
        return False
    except (DockerException, requests.RequestException):
        return False
    return True
