"""All that is known of a variant's run: every process's records, and the run's events."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HistoryError
from harness.events import Event, LogsKept, TrafficStarted
from harness.files import open_file
from harness.history.events_io import EVENTS_FILE, read_events
from harness.history.read import Log, read_log
from harness.history.record_check import SLACK
from harness.history.records import HEADER_BYTES, RECORD_BYTES
from harness.plain import plain, shortened

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


def load(directory: Path, variant: str | None = None) -> History:
    """Read a variant's directory. Raises HistoryError.

    With the name of the variant it is one of a run that is over, whose events must be there, and of that variant.

    A log of zeros, that was allocated and never begun, is left out.
    The records of the logs are looked at as they are read: see `Log.blocks`.
    """
    files = sorted((directory / LOGS_FOLDER).glob("*.log"))
    logs = [(path, read_log(path)) for path in files if not _is_empty(path)]
    _check_together(logs)
    events_path = directory / EVENTS_FILE
    there = variant is not None or os.path.lexists(events_path)
    found = sorted(read_events(events_path) if there else (), key=lambda event: event.at_ns)
    other = next((event.variant for event in found if variant is not None and event.variant != variant), None)
    if other is not None:
        raise HistoryError(
            f"{events_path} is in a wrong place, or damaged: it has events of the variant {shortened(plain(other), 60)!r}"
        )
    if variant is not None and logs and not found:
        raise HistoryError(f"{events_path} is empty, beside logs that are not")
    kept = next((event for event in reversed(found) if isinstance(event, LogsKept)), None)
    if kept is not None:
        _check_kept(directory / LOGS_FOLDER, logs, kept.records)
    return History(tuple(log for _, log in logs), tuple(found))


def logs_kept(directory: Path) -> dict[str, int]:
    """Return how many records each log in a variant's directory has, by the name of its file. Raises HistoryError."""
    files = sorted((directory / LOGS_FOLDER).glob("*.log"))
    return {path.name: len(read_log(path).records) for path in files if not _is_empty(path)}


def verify(history: History) -> None:
    """Look at all records, for whoever does not read the logs block by block. Raises HistoryError where one is damaged."""
    for log in history.logs:
        log.verify()


def _is_empty(path: Path) -> bool:
    """Whether a file is zeros only, as far as its header would reach. Raises HistoryError."""
    try:
        with open_file(path) as file:
            head = file.read(HEADER_BYTES)
            return not head.strip(b"\0") and not file.read(RECORD_BYTES * 32).strip(b"\0")
    except OSError as error:
        raise HistoryError(f"cannot read the event log {path}: {error.strerror}") from error


def _check_kept(folder: Path, logs: Sequence[tuple[Path, Log]], kept: Mapping[str, int]) -> None:
    """Hold the logs against those that the run left. Raises HistoryError."""
    there = {path.name: len(log.records) for path, log in logs}
    for name in sorted(kept.keys() | there.keys()):
        if name not in kept:
            raise HistoryError(f"the event log {folder / name} was not there when the run ended")
        had = f"it had {kept[name]:,} records when the run ended"
        if name not in there:
            raise HistoryError(f"the event log {folder / name} is missing, or empty: {had}")
        if there[name] != kept[name]:
            raise HistoryError(f"the event log {folder / name} is damaged: {had}, and has {there[name]:,}")


def _check_together(logs: Sequence[tuple[Path, Log]]) -> None:
    """Look at what the logs of one run must be beside each other. Raises HistoryError."""
    names: dict[tuple[str, int], Path] = {}
    actors: dict[int, str] = {}
    records: Counter[int] = Counter()
    for path, log in logs:
        header = log.header
        other = names.setdefault((header.actor, header.incarnation), path)
        if other != path:
            raise HistoryError(
                f"the event logs {other} and {path} are of the same process: one is a copy, or in a wrong place"
            )
        if header.role == "publisher":
            if actors.setdefault(header.number, header.actor) != header.actor:
                raise HistoryError(f"the event log {path} is of a publisher with the number of {actors[header.number]}")
            records[header.number] += len(log.records)
    for _, log in logs:
        if log.check is not None and log.check.most_seq is not None:
            log.check.most_seq = records[log.header.number] + SLACK
