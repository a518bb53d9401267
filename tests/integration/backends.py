"""Which backends the integration tests run on, and that none is skipped unnoticed where CI demands all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE
from harness.broker.docker_engine import connect, image_present
from harness.broker.install import find_installation
from harness.errors import ChaosError
from tests.integration.stage import CLIENTS
from tests.required import lacking

BACKENDS = [pytest.param("native", marks=pytest.mark.native), pytest.param("container", marks=pytest.mark.container)]


def first_on(backend: str) -> pytest.MarkDecorator:
    """For a test of which little depends on the backend: every change runs it on one of them, the night on the others."""
    params = [
        pytest.param(*each.values, marks=[*each.marks, *([] if each.values == (backend,) else [pytest.mark.slow])])
        for each in BACKENDS
    ]
    return pytest.mark.parametrize("backend", params, indirect=True)


EVERY_CHANGE = (("fast", "native"), ("pika", "container"))
"""The pairs of client and backend that every change meets. The night has the others: they say the same again."""


def each_pair(at_once: Sequence[tuple[str, str]] = EVERY_CHANGE) -> pytest.MarkDecorator:
    """For a whole run on every client and backend: every change has some pairs, the night the others."""
    pairs = [
        pytest.param(
            client,
            *each.values,
            marks=[*each.marks, *([] if (client, *each.values) in at_once else [pytest.mark.slow])],
        )
        for client in CLIENTS
        for each in BACKENDS
    ]
    return pytest.mark.parametrize(("client", "backend"), pairs, indirect=["backend"])


ALONE = pytest.mark.xdist_group("sweep")
"""For tests that look at what dead harnesses left in the Docker engine, or start a harness, which sweeps that: never two at once."""


def missing(backend: str) -> str | None:
    """Why a backend cannot be used here; None if it can."""
    if backend == "native":
        return None if find_installation() else "RabbitMQ is not installed (chaos setup)"
    try:
        client = connect(timeout_s=10)
    except ChaosError as error:
        return str(error)
    images = (os.environ.get("CHAOS_IMAGE"), DEFAULT_IMAGE, BUILT_IMAGE)
    found = any(image is not None and image_present(client, image) for image in images)
    client.close()
    return None if found else "the engine has no RabbitMQ image (chaos setup --image)"


def require(backend: str) -> None:
    """Skip without the backend, or fail."""
    why = missing(backend)
    if why is not None:
        lacking(f"{backend} backend: {why}")
