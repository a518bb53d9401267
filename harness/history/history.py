"""All that is known of a variant's run: every process's records, and the run's events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.events import Event, TrafficStarted
from harness.history.events_io import EVENTS_FILE, read_events
from harness.history.read import Log, read_log

LOGS_FOLDER = "logs"


@dataclass(frozen=True, slots=True)
class History:
    """Logs in the order of their files' names, events in the order of their times."""

    logs: tuple[Log, ...]
    events: tuple[Event, ...]

    def of_role(self, role: str) -> tuple[Log, ...]:
        """Return the logs of publishers, workers or the collector."""
        return tuple(log for log in self.logs if log.header.role == role)

    @property
    def zero_ns(self) -> int:
        """The zero of the timeline: when the publishers were released (the first event's time if they never were)."""
        for event in self.events:
            if isinstance(event, TrafficStarted):
                return event.at_ns
        return self.events[0].at_ns if self.events else 0


def load(directory: Path) -> History:
    """Read a variant's directory. Raises HistoryError. A log that was allocated and never begun is left out."""
    files = sorted((directory / LOGS_FOLDER).glob("*.log"))
    logs = tuple(read_log(path) for path in files if _begun(path))
    events_path = directory / EVENTS_FILE
    events = tuple(sorted(read_events(events_path), key=lambda event: event.at_ns)) if events_path.exists() else ()
    return History(logs, events)


def _begun(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"{"
