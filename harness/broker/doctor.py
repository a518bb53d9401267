"""What is there, what is missing, and what to do about it; one line each."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Literal

from harness.broker import debian
from harness.broker.compose_project import compose_command
from harness.broker.docker_engine import ANSWER_TIMEOUT_S, connect, engine_errors, image_present
from harness.broker.docker_leftovers import left_behind
from harness.broker.image import DEFAULT_TAG, is_current
from harness.broker.image_choice import choose, wanted
from harness.broker.install import find_installation
from harness.broker.native import data_place, open_files_fault, place_fault
from harness.errors import BrokerError, ChaosError
from harness.ledger import state_directory
from harness.leftovers import stale

LEAST_FREE_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` is empty where nothing is to be done."""

    what: str
    state: Literal["ok", "missing", "problem"]
    advice: str = ""


def examine() -> tuple[Finding, ...]:
    """Look at everything; never raises."""
    looks: tuple[Callable[[], Finding], ...] = (
        _python,
        _engine,
        _image,
        _compose,
        _native,
        _debootstrap,
        _mirror,
        _space,
        _leftovers,
    )
    return tuple(look() for look in looks)


def usable() -> bool:
    """Whether a run with the backend `auto` finds a broker; pulls the image for it where that is all that lacks."""
    if find_installation() is not None:
        return True
    try:
        with closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client:
            choose(client)
    except BrokerError:
        return False
    return True


def _python() -> Finding:
    return Finding(f"Python {platform.python_version()}", "ok")


def _engine() -> Finding:
    try:
        with (
            closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client,
            engine_errors("asking the Docker engine for its version"),
        ):
            version = client.version()["Version"]
    except ChaosError as error:
        return Finding("Docker engine", "missing", str(error))
    return Finding(f"Docker engine {version}", "ok")


def _image() -> Finding:
    try:
        with closing(connect(timeout_s=ANSWER_TIMEOUT_S)) as client:
            images = wanted("")
            present = [image for image in images if image_present(client, image)]
            older = present[:1] == [DEFAULT_TAG] and not is_current(client, DEFAULT_TAG)
    except ChaosError:
        return Finding("image", "missing", "needs a Docker engine first")
    if older:
        return Finding(f"image {DEFAULT_TAG} of an older version of the harness", "problem", "chaos setup --image")
    if present:
        return Finding(f"image {present[0]}", "ok")
    return Finding(
        f"image {images[0]}", "missing", f"docker pull {images[0]}, or without a registry chaos setup --image"
    )


def _compose() -> Finding:
    try:
        return Finding(f"compose ({' '.join(compose_command())})", "ok")
    except ChaosError as error:
        return Finding("compose plugin", "missing", str(error).partition("; ")[2])


def _native() -> Finding:
    found = find_installation()
    if found is None:
        return Finding("RabbitMQ for the native backend", "missing", "chaos setup")
    fault = place_fault(data_place()) or open_files_fault()
    if fault is not None:
        return Finding(f"RabbitMQ {found.version} for the native backend ({found.home})", "problem", fault)
    return Finding(f"RabbitMQ {found.version} for the native backend ({found.home})", "ok")


def _debootstrap() -> Finding:
    if shutil.which("debootstrap") is None:
        return Finding("debootstrap", "missing", "apt-get install debootstrap, if an image is to be built")
    return Finding("debootstrap", "ok")


def _mirror() -> Finding:
    try:
        debian.mirror()
    except ChaosError as error:
        return Finding("package archive", "missing", str(error))
    return Finding("package archive named by apt's configuration", "ok")


def _space() -> Finding:
    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    what = f"{free / 1024**3:.1f} GiB free in {place}"
    if free < LEAST_FREE_BYTES:
        return Finding(what, "problem", "brokers keep their data there; make room, or set TMPDIR")
    return Finding(what, "ok")


def _leftovers() -> Finding:
    left = len(stale())
    with suppress(BrokerError):
        left = max(left, left_behind())
    if left:
        return Finding(f"killed runs left something behind ({left})", "problem", "chaos clean")
    return Finding(f"nothing left behind by killed runs ({state_directory()})", "ok")
