"""Choosing the backend: which broker a run gets, and why, in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from harness.broker.compose import ComposeBroker
from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE, ContainerBroker
from harness.broker.docker_engine import connect, image_present
from harness.broker.external import ExternalBroker
from harness.broker.install import find_installation
from harness.broker.native import NativeBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.errors import BackendUnavailableError, UsageError
from harness.ledger import Ledger

PULL_TIMEOUT_S = 300
IMAGE_VARIABLE = "CHAOS_IMAGE"


@dataclass(frozen=True, slots=True)
class Selection:
    """A broker that is not started yet, and why this one."""

    broker: Broker
    reason: str


def select(
    backend: str,
    settings: BrokerSettings,
    ledger: Ledger,
    *,
    url: str | None = None,
    compose_file: Path | None = None,
    compose_service: str = "rabbitmq",
    commands: Mapping[str, str] | None = None,
) -> Selection:
    """Choose and make a broker. Raises BackendUnavailableError, which says what to install or start."""
    match backend:
        case "native":
            return Selection(_native(settings, ledger), "native, as asked for")
        case "container":
            image, why = _image(connect(), settings.image)
            return Selection(ContainerBroker(replace(settings, image=image), ledger), f"container, as asked for: {why}")
        case "compose":
            file = compose_file or Path("compose.yaml")
            broker = ComposeBroker(settings, ledger, file=file, service=compose_service)
            return Selection(broker, f"compose, as asked for: service {compose_service} of {file}")
        case "external":
            if url is None:
                raise UsageError("an external broker needs its address: --broker amqp://user:password@host:5672/")
            return Selection(ExternalBroker(settings, url, commands or {}), "external, as asked for")
        case "auto":
            return _automatic(settings, ledger)
    raise UsageError(f"there is no backend {backend!r}")


def _automatic(settings: BrokerSettings, ledger: Ledger) -> Selection:
    """Take the container backend when the engine answers and an image is there or can be pulled, else the native one."""
    try:
        image, why = _image(connect(timeout_s=10), settings.image)
        return Selection(ContainerBroker(replace(settings, image=image), ledger), f"container: {why}")
    except BackendUnavailableError as error:
        no_container = str(error).partition(";")[0]
    try:
        return Selection(_native(settings, ledger), f"native: {no_container}")
    except BackendUnavailableError as error:
        raise BackendUnavailableError(f"no broker can be had: {no_container}, and {error}") from error


def _native(settings: BrokerSettings, ledger: Ledger) -> NativeBroker:
    installation = find_installation()
    if installation is None:
        raise BackendUnavailableError("RabbitMQ is not installed; run `chaos setup`")
    return NativeBroker(settings, installation, ledger)


def _image(client: docker.DockerClient, asked: str) -> tuple[str, str]:
    """Choose the image: the one asked for, else the official one, else one built by `chaos setup --image`; pulls if it must."""
    wanted = asked or os.environ.get(IMAGE_VARIABLE, "")
    if wanted:
        if image_present(client, wanted):
            return wanted, f"the engine answers and has {wanted}"
        return _pull(client, wanted), f"the engine answers and pulled {wanted}"
    for image in (DEFAULT_IMAGE, BUILT_IMAGE):
        if image_present(client, image):
            return image, f"the engine answers and has {image}"
    return _pull(client, DEFAULT_IMAGE), f"the engine answers and pulled {DEFAULT_IMAGE}"


def _pull(client: docker.DockerClient, image: str) -> str:
    repository, _, tag = image.partition(":") if "/" not in image.rpartition(":")[2] else (image, "", "")
    try:
        client.images.pull(repository, tag=tag or "latest")
    except (DockerException, requests.RequestException) as error:
        raise BackendUnavailableError(
            f"the engine has no image {image} and could not pull it; pull it by hand, or build one with `chaos setup --image`"
        ) from error
    return image
