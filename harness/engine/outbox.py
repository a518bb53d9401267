"""The events of a variant's run, from all its threads to the listeners, on one thread."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from contextlib import suppress

from harness.events import Event, Listener, Note


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
                for listener in self._listeners:
                    listener(event)
