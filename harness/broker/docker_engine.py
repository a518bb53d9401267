"""The Docker engine: one way to reach it, and one sentence when it cannot be."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit
from weakref import WeakSet

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import parse_host

from harness.errors import BackendUnavailableError, BrokerError
from harness.ledger import owner_label
from harness.masking import masked_address, without_passwords
from harness.plain import plain

LABEL_RUN = "io.chaos-harness.run"
LABEL_OWNER = "io.chaos-harness.owner"
"""The process that started it; what it left may be removed when that process is dead."""
LABEL_MADE = "io.chaos-harness.made"
"""On a container: volumes and networks that were made with it and cannot carry labels, like `volume:NAME,network:NAME`."""
TIMEOUT_S = 120
"""How long a call may take; rabbitmqctl in a container on a busy machine is the slowest."""
ANSWER_TIMEOUT_S = 10
"""How long an engine may take to answer a simple question, and to answer anything once it has left a call unanswered."""
HOST_VARIABLE: Final = "DOCKER_HOST"
_clients: WeakSet[docker.DockerClient] = WeakSet()


class _Api(docker.APIClient):
    """Asks with one deadline for the whole of an answer: the timeout of `requests` begins anew with every byte."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request. Raises what `requests` raises, and ReadTimeout for an answer that goes on for too long.

        What is streamed is bounded up to its first byte; an upload out of a file may take as long as the file is large.
        """
        ask = partial(super().send, request, **options)
        timeout_s = options.get("timeout")
        if not isinstance(timeout_s, int | float) or not isinstance(request.body, str | bytes | None):
            return ask()
        answers: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put(ask())
            except Exception as error:
                answers.put(error)

        # Nothing ends a read of the SDK from outside: an engine that drips is left behind with its thread, which keeps nobody waiting.
        threading.Thread(target=answer, name="docker", daemon=True).start()
        try:
            answered = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise requests.ReadTimeout(f"no whole answer within {timeout_s:g} s", request=request) from None
        if isinstance(answered, Exception):
            raise answered
        return answered


class _Client(docker.DockerClient):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.api = _Api(*arguments, **options)


def run_labels(run_id: str) -> dict[str, str]:
    """Return the labels of what this process starts for a run."""
    return {LABEL_RUN: run_id, LABEL_OWNER: owner_label()}


def connect(timeout_s: float = TIMEOUT_S) -> docker.DockerClient:
    """Connect to the engine that the environment names.

    Raises BackendUnavailableError if none answers, for an address that is not one, and for an engine that is elsewhere.
    """
    named = os.environ.get(HOST_VARIABLE, "")
    _refuse_what_cannot_be_used(named)
    try:
        client = _Client.from_env(timeout=math.ceil(timeout_s))
        try:
            client.ping()
        except BaseException:
            client.close()
            raise
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        where = f" at {_shown(named)}, which {HOST_VARIABLE} names" if named else ""
        raise BackendUnavailableError(
            f"no Docker engine answers{where}; start one (e.g. systemctl start docker), set {HOST_VARIABLE}, or use --broker native"
        ) from error
    _clients.add(client)
    return client


def without_engine_password(text: str) -> str:
    """Return a text with the password of the engine's address masked, as DOCKER_HOST has it or in any URL."""
    named = os.environ.get(HOST_VARIABLE, "")
    return without_passwords(text.replace(named, masked_address(named)) if named else text)


def _shown(address: str) -> str:
    return plain(masked_address(address))


def _refuse_what_cannot_be_used(named: str) -> None:
    """Look at an address before it is tried. Raises BackendUnavailableError; no part of a wrong one is repeated, it may be a password."""
    fault = _fault(named)
    if fault:
        raise BackendUnavailableError(
            f"{HOST_VARIABLE} is not the address of a Docker engine: {fault}; set it to one like unix:///var/run/docker.sock "
            "or tcp://127.0.0.1:2375, unset it, or use --broker native"
        )
    elsewhere = _other_machine(urlsplit(named))
    if elsewhere:
        raise BackendUnavailableError(
            f"the Docker engine that {HOST_VARIABLE} names is on {elsewhere}, whose ports on 127.0.0.1 cannot be reached from here; "
            "use an engine of this machine, or --broker native"
        )


def _fault(named: str) -> str:
    """Say what is wrong with an address in words that hold nothing of it; empty where nothing is."""
    try:
        parts = urlsplit(named)
    except ValueError:
        return "its host is not one"
    try:
        _ = parts.port if parts.scheme in _OVER_A_NETWORK else None
    except ValueError:
        return "its port is not a number up to 65535"
    if parts.password is not None and parts.scheme in _OVER_A_NETWORK:
        return "it holds a password, which no engine takes"
    try:
        parse_host(named)
    except (DockerException, ValueError):
        return "it is not like unix:///PATH or tcp://HOST:PORT"
    return ""


_OVER_A_NETWORK: Final = ("tcp", "http", "https", "ssh")


def _other_machine(parts: SplitResult) -> str:
    """Return the machine that an engine's address names; empty for this one."""
    if parts.scheme not in _OVER_A_NETWORK:
        return ""
    return "" if parts.hostname in (None, "localhost", "127.0.0.1", "::1") else plain(str(parts.hostname))


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the engine or its absence throws into one sentence that says what was being done."""
    try:
        yield
    except NotFound as error:
        raise BrokerError(f"{doing} failed: it is not there any more") from error
    except APIError as error:
        raise BrokerError(without_engine_password(f"{doing} failed: {error.explanation or error}")) from error
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
