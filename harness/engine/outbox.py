"""The events of a variant's run, from all its threads to the listeners, on one thread."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.events import Event, Listener, Note
from harness.unforeseen import described


def tell(listeners: Sequence[Listener], event: Event) -> None:
    """Hand an event to all listeners."""
    for listener in listeners:
        listener(event)


class Outbox:
    """Takes events from any thread and hands them on where `pump` is called."""

    def __init__(self, variant: str, listeners: Sequence[Listener]) -> None:
        """`variant` names the run in the notes that are made here."""
        self._variant = variant
        self._listeners = listeners
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        """Leave an event for the next `pump`; any thread may."""
        self._events.put(event)

    def emit(self, event: Event) -> None:
        """Hand an event on now, after those that were left before it."""
        self.put(event)
        self.pump()

    def note(self, message: str) -> None:
        """Hand a note on now."""
        self.emit(Note(at_ns=time.monotonic_ns(), variant=self._variant, message=message))

    def pump(self) -> None:
        """Hand on what was left."""
        with suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                tell(self._listeners, event)


class FailsafeListener:
    """A listener that a run does not depend on, such as live progress: once it fails it is asked no more, and the run goes on."""

    def __init__(self, listener: Listener, folder: Path) -> None:
        """`folder` takes the traceback of its failure."""
        self._listener = listener
        self._folder = folder
        self.failure: str | None = None
        """What it failed with."""

    def __call__(self, event: Event) -> None:
        """Hand an event on."""
        if self.failure is not None:
            return
        try:
            self._listener(event)
        except Exception as error:
            self.failure = described(error, self._folder)
