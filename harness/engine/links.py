"""The ways from a run's publishers and workers to its broker: direct, or through something that stands between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.traffic.spec import Target

if TYPE_CHECKING:
    from harness.engine.variant import VariantSetting


class Links(Protocol):
    """Where each publisher and worker finds the broker. What the harness itself asks of the broker goes to it directly."""

    def target(self, actor: str) -> Target:
        """Return what an actor connects to, the same for each of its incarnations. Raises BrokerError."""

    def failure(self) -> str | None:
        """Say why they do not work any more; None while they do."""

    def close(self) -> None:
        """Let go what stands between; the actors have ended."""


MakeLinks = Callable[["VariantSetting", Target, Callable[[int], None]], Links]
"""Makes the links of a variant's run: for its setting, the broker, and what takes the number of each process that is started."""


class DirectLinks:
    """Everybody connects to the broker itself."""

    def __init__(self, target: Target) -> None:
        """`target` is the broker."""
        self._target = target

    def target(self, actor: str) -> Target:  # noqa: ARG002 - the same for all
        """Return the broker."""
        return self._target

    def failure(self) -> str | None:
        """Return None: nothing stands between."""
        return None

    def close(self) -> None:
        """Do nothing."""
