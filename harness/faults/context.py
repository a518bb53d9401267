"""What a fault may touch: the broker, the publishers and workers, and the topology. The engine provides it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol

from harness.effects import Becomes

if TYPE_CHECKING:
    from harness.broker.protocol import Broker
    from harness.events import Role
    from harness.scenario.topology import Queue
    from harness.traffic.spec import Target


class NoTargetError(Exception):
    """A fault found nothing to strike within its bound; the run cannot be conclusive."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A publisher or worker that was struck while it held something."""

    amount: int
    """Deliveries not completed, or publishes not settled."""
    exit_code: int | None = None
    """Of one that was stopped in order."""


class Actors(Protocol):
    """The publishers and workers of the run."""

    def living(self, role: Role) -> tuple[str, ...]:
        """Names of the ones that run now, paused ones included."""

    def paused(self, role: Role) -> tuple[str, ...]:
        """Names of the living ones that are paused."""

    def kill(self, actor: str, fault: int) -> None:
        """SIGKILL; returns when the process is gone."""

    def strike_if_holding(self, actor: str, fault: int, becomes: Becomes) -> Holding | None:
        """Freeze, look, and kill, stop, pause or resume only an actor that holds something; else leave it as it was, and return None.

        Freezing first makes the answer true at the moment of the strike.
        """

    def stop(self, actor: str, fault: int) -> int:
        """Stop in order; returns the exit code, negative for the signal where the grace ran out."""

    def pause(self, actor: str) -> None:
        """SIGSTOP."""

    def resume(self, actor: str) -> None:
        """SIGCONT; no error when it is not paused."""

    def start(self, actor: str) -> None:
        """Start the next incarnation of an actor that ended; no error when it runs."""

    def scale(self, group: str | None, to: int, fault: int) -> tuple[str, ...]:
        """Bring a group of workers to a number; returns the names started or stopped in order."""


@dataclass(frozen=True, slots=True)
class FaultContext:
    """One injection's access to the run."""

    fault: int
    """The step's index."""
    broker: Broker
    actors: Actors
    target: Target
    queues: dict[str, Queue]
    random: Random
    """Seeded by the run's seed and the step."""
    error_observed: Callable[[int, str, str], None]
    """Reports an AMQP error: code, text, where."""
    publish: Callable[[str, str, int], None]
    """Publishes by hand: queue, text, how often; each message with an identity and a record."""
    wait: Callable[[float], None]
    """Waits so many seconds, shorter if the run is being ended."""
    over: Callable[[], bool]
    """Whether the run is being ended, so that looking for a target is pointless."""
    nodes_struck: Callable[[], Mapping[str, Becomes]] = dict
    """The nodes that a step in force has down or frozen."""
