"""Which image a container runs: the one asked for, the official one, or one built here; pulled only when none is at hand."""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass

import docker
import requests
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from harness.broker.container import BUILT_IMAGE, DEFAULT_IMAGE
from harness.broker.docker_engine import image_present
from harness.errors import BackendUnavailableError, UsageError
from harness.scenario.broker_config import image_fault

IMAGE_VARIABLE = "CHAOS_IMAGE"
PULL_TIMEOUT_S = 300.0
PULL_SILENCE_S = 30.0
"""How long a pull may say nothing: an engine that reaches no registry often hangs instead of failing."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An image that the engine has now."""

    image: str
    pulled: bool

    def __str__(self) -> str:
        """Say why the container backend can be had with it."""
        return f"the engine answers and {'pulled' if self.pulled else 'has'} {self.image}"


def wanted(asked: str) -> tuple[str, ...]:
    """Return the images that will do, best first: only the one asked for (CHAOS_IMAGE is the same), else the usual ones.

    Raises UsageError for a CHAOS_IMAGE that names no image.
    """
    chosen = asked or of_environment()
    return (chosen,) if chosen else (DEFAULT_IMAGE, BUILT_IMAGE)


def of_environment() -> str:
    """Return the image that CHAOS_IMAGE names, or nothing. Raises UsageError."""
    image = os.environ.get(IMAGE_VARIABLE, "")
    if image and (fault := image_fault(image)) is not None:
        raise UsageError(f"{IMAGE_VARIABLE}: {fault}")
    return image


def choose(client: docker.DockerClient, asked: str = "", *, timeout_s: float = PULL_TIMEOUT_S) -> Chosen:
    """Choose the first that is there; pull the best if none is. Raises BackendUnavailableError."""
    images = wanted(asked)
    for image in images:
        if image_present(client, image):
            return Chosen(image, pulled=False)
    _pull(client, images[0], timeout_s)
    return Chosen(images[0], pulled=True)


def _pull(client: docker.DockerClient, image: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    lines: queue.SimpleQueue[dict[str, object] | None] = queue.SimpleQueue()
    # The SDK puts no bound on a pull, so one that hangs can only be left behind.
    threading.Thread(target=_follow, args=(client, image, lines), daemon=True).start()
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=min(PULL_SILENCE_S, left_s))
        except queue.Empty:
            if left_s > PULL_SILENCE_S:
                raise _unavailable(image, f"its registry said nothing for {PULL_SILENCE_S:g} s") from None
            continue
        if line is None:
            break
        if "error" in line:
            raise _unavailable(image, str(line["error"]))
    else:
        raise _unavailable(image, f"it took longer than {timeout_s:g} s")
    if not image_present(client, image):
        raise _unavailable(image, "the pull ended without it")


def _follow(client: docker.DockerClient, image: str, lines: queue.SimpleQueue[dict[str, object] | None]) -> None:
    """Put each line of a pull into a queue, then None."""
    repository, tag = parse_repository_tag(image)
    try:
        for line in client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            lines.put(line)
    except (DockerException, requests.RequestException) as error:
        lines.put({"error": getattr(error, "explanation", None) or type(error).__name__})
    lines.put(None)


def _unavailable(image: str, why: str) -> BackendUnavailableError:
    reason = " ".join(why.split()).replace(";", ",")
    return BackendUnavailableError(
        f"the engine has no image {image} and could not pull it ({reason}); "
        f"pull it by hand (docker pull {image}), or build one with `chaos setup --image`"
    )
