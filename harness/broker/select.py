"""Choosing the backend: which broker a run gets, and why, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from harness.broker.compose import ComposeBroker
from harness.broker.container import ContainerBroker
from harness.broker.docker_engine import connect
from harness.broker.external import ExternalBroker
from harness.broker.image_choice import choose
from harness.broker.install import find_installation
from harness.broker.native import NativeBroker, data_place, open_files_fault, place_fault
from harness.broker.protocol import Broker, BrokerSettings
from harness.errors import BackendUnavailableError, UsageError
from harness.ledger import Ledger

ANSWER_TIMEOUT_S = 10.0
"""How long the engine may take to answer before `auto` does without it."""


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
    say: Callable[[str], None] = lambda _line: None,
) -> Selection:
    """Choose and make a broker. Raises BackendUnavailableError, which says what to install or start."""
    match backend:
        case "native":
            return Selection(_native(settings, ledger), "native, as asked for")
        case "container":
            broker, why = _container(settings, ledger)
            return Selection(broker, f"container, as asked for: {why}")
        case "compose":
            file = compose_file or Path("compose.yaml")
            return Selection(
                ComposeBroker(settings, ledger, file=file, service=compose_service),
                f"compose, as asked for: service {compose_service} of {file}",
            )
        case "external":
            if url is None:
                raise UsageError("an external broker needs its address: --broker amqp://user:password@host:5672/")
            return Selection(ExternalBroker(settings, url, commands or {}, say=say), "external, as asked for")
        case "auto":
            return _automatic(settings, ledger)
    raise UsageError(f"there is no backend {backend!r}")


def _automatic(settings: BrokerSettings, ledger: Ledger) -> Selection:
    """Take the container backend when the engine answers and an image is there or can be pulled, else the native one."""
    try:
        broker, why = _container(settings, ledger)
        return Selection(broker, f"container: {why}")
    except BackendUnavailableError as error:
        no_container = str(error).partition(";")[0]
    try:
        return Selection(_native(settings, ledger), f"native: {no_container}")
    except BackendUnavailableError as error:
        raise BackendUnavailableError(f"no broker can be had: {no_container}, and {error}") from error


def _container(settings: BrokerSettings, ledger: Ledger) -> tuple[ContainerBroker, str]:
    with closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client:
        chosen = choose(client, settings.image)
    return ContainerBroker(replace(settings, image=chosen.image), ledger), str(chosen)


def _native(settings: BrokerSettings, ledger: Ledger) -> NativeBroker:
    installation = find_installation()
    if installation is None:
        raise BackendUnavailableError("RabbitMQ is not installed; run `chaos setup`")
    fault = place_fault(data_place()) or open_files_fault()
    if fault is not None:
        raise BackendUnavailableError(fault)
    return NativeBroker(settings, installation, ledger)
