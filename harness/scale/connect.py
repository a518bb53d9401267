"""Reaching a Dask engine: its scheduler answers, and all of it can do what this harness asks."""

from __future__ import annotations

import logging
import pkgutil
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness import __version__
from harness.errors import InfrastructureError, UsageError
from harness.scale.address import check

if TYPE_CHECKING:
    from distributed import Client

ANSWER_TIMEOUT_S = 10.0
SCHEDULER = "scheduler"
LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio")
"""Who would write about a lost connection to the terminal; what matters of it is an error here."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Dask engine that answers."""

    client: Client
    workers: Mapping[str, str]
    """The Dask workers' names, and their addresses."""


@contextmanager
def connect(address: str) -> Iterator[Engine]:
    """Connect to the scheduler at an address such as tcp://HOST:8786.

    Raises UsageError where the address is none or Dask is not installed, InfrastructureError where no scheduler answers, it has no
    workers, or one of them, or the scheduler, has another harness or another Python.
    """
    check(address)
    try:
        from distributed import Client  # noqa: PLC0415 - an optional dependency, and a second to import
    except ImportError as error:
        raise UsageError(
            f"--scheduler needs Dask, which is not installed ({error}): pip install 'chaos-harness[dask]'"
        ) from error
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        client = Client(address, timeout=ANSWER_TIMEOUT_S)
    except TypeError as error:  # how Dask says that it has no certificates
        raise UsageError(
            f"--scheduler {address}: TLS needs certificates, which Dask's configuration names (distributed.comm.tls): {error}"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InfrastructureError(
            f"no Dask scheduler answers at {address} within {ANSWER_TIMEOUT_S:g} s; start one with `dask scheduler`, or correct --scheduler"
        ) from error
    try:
        yield Engine(client, _workers(client, address))
    finally:
        client.close(timeout=ANSWER_TIMEOUT_S)


def _workers(client: Client, address: str) -> dict[str, str]:
    """Return the workers by name, once it is known that they fit."""
    found: dict[str, dict[str, object]] = client.scheduler_info(n_workers=-1)["workers"]
    if not found:
        raise InfrastructureError(
            f"the Dask scheduler at {address} has no workers; start some with `dask worker {address} --nthreads 1`"
        )
    workers = {str(about["name"]): where for where, about in found.items()}
    try:
        # Functions of the standard library, which a machine with another Python, or without the harness, can be asked for too.
        pythons = _everywhere(client, platform.python_version)
        harnesses = _everywhere(client, pkgutil.resolve_name, "harness:__version__")
    except (OSError, ValueError, RuntimeError) as error:
        raise InfrastructureError(
            f"the Dask scheduler at {address}, or one of its workers ({', '.join(workers)}), did not answer within "
            f"{ANSWER_TIMEOUT_S:g} s; see to it, or stop it"
        ) from error
    # The scheduler reads what is sent to its workers.
    must_fit(f"the Dask scheduler ({address})", pythons.get(SCHEDULER), harnesses.get(SCHEDULER))
    for name, where in workers.items():
        must_fit(f"the Dask worker {name} ({where})", pythons.get(where), harnesses.get(where))
    return workers


def _everywhere(client: Client, function: Callable[..., object], *arguments: object) -> dict[str, object]:
    """Call a function on the scheduler and on each worker; returns results, or exceptions, by address."""
    found: dict[str, object] = client.run(function, *arguments, on_error="return", callback_timeout=ANSWER_TIMEOUT_S)
    try:
        found[SCHEDULER] = client.run_on_scheduler(function, *arguments, callback_timeout=ANSWER_TIMEOUT_S)
    except ImportError as error:
        found[SCHEDULER] = error
    return found


def must_fit(worker: str, python: object, harness: object) -> None:
    """Raise InfrastructureError where a worker's versions, or the exceptions that the question for them ended in, are not those here."""
    if isinstance(harness, ImportError):
        raise InfrastructureError(
            f"{worker} has no chaos-harness; install version {__version__} there: pip install 'chaos-harness[dask]'"
        )
    for answer in (python, harness):
        if isinstance(answer, Exception):
            raise InfrastructureError(f"{worker} does not answer ({answer}); see to it, or stop it")
    for what, here, there, same in (
        ("chaos-harness", __version__, harness, harness == __version__),
        ("Python", platform.python_version(), python, _minor(str(python)) == _minor(platform.python_version())),
    ):
        if not same:
            raise InfrastructureError(f"{worker} has {what} {there}, and {here} runs here; install the same on both")


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
