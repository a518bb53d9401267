"""A broker that boots before its variant's turn, beside the one of the variant before: a boot is mostly waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from harness.broker.protocol import Broker

MakeOne = Callable[[], tuple[Broker, str]]
"""Makes a broker, not started yet, and says why this one."""


@dataclass(frozen=True, slots=True)
class Booted:
    """What came of a boot."""

    broker: Broker | None
    """None if none could be made; one that did not start has to be destroyed all the same."""
    reason: str
    failure: Exception | None


class EarlyBoot:
    """Makes and starts a broker in a thread of its own, once it is begun; whoever takes it sees to its end."""

    def __init__(self, make: MakeOne) -> None:
        """Begin nothing yet."""
        self._make = make
        self._thread: Thread | None = None
        self._booted = Booted(None, "", None)

    @property
    def begun(self) -> bool:
        """Whether there is a boot that nobody took yet."""
        return self._thread is not None

    def begin(self) -> None:
        """Let it boot."""
        self._thread = Thread(target=self._boot, name="early boot", daemon=True)
        self._thread.start()

    def take(self) -> Booted:
        """Wait for the end of its boot, and give away what came of it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        booted, self._booted = self._booted, Booted(None, "", None)
        return booted

    def discard(self) -> None:
        """End the one that nobody took. A boot that is under way is waited for: cut off, it could leave something behind."""
        broker = self.take().broker
        if broker is not None:
            broker.destroy()

    def _boot(self) -> None:
        broker, reason = None, ""
        try:
            broker, reason = self._make()
            broker.start()
        except Exception as error:
            self._booted = Booted(broker, reason, error)
        else:
            self._booted = Booted(broker, reason, None)
