"""The Docker engine: one way to reach it, and one sentence when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from harness.errors import BackendUnavailableError, BrokerError

LABEL_RUN = "io.chaos-harness.run"
LABEL_OWNER = "io.chaos-harness.owner"
TIMEOUT_S = 120


def connect(timeout_s: float = TIMEOUT_S) -> docker.DockerClient:
    """Connect to the engine that the environment names. Raises BackendUnavailableError if none answers."""
    try:
        client = docker.from_env(timeout=int(timeout_s))
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        raise BackendUnavailableError(
            "no Docker engine answers; start one (e.g. systemctl start docker), set DOCKER_HOST, or use --broker native"
        ) from error
    return client


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
