"""Sweeping containers of dead runs, where there is an engine at all."""

from __future__ import annotations

from harness.errors import BrokerError


def sweep_containers() -> tuple[tuple[str, ...], str]:
    """Remove containers, volumes and networks whose owner is dead; returns what was removed, and why nothing could be looked at."""
    from harness.broker.docker_leftovers import sweep  # noqa: PLC0415 - brings the docker SDK

    try:
        return sweep(), ""
    except BrokerError as error:
        return (), str(error).partition(";")[0]
