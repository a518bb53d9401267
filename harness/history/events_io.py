"""Run events as JSON lines, exactly there and back, by the name of the event's class.

The first line of a file names the format and its version. A file of version 1 has no such line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from harness import events
from harness.errors import HistoryError
from harness.events import Event, FaultInjected
from harness.files import parse_json, read_text, reason
from harness.history.upgrade_v1 import Upgrade
from harness.plain import plain, shortened

EVENTS_FILE = "events.jsonl"
EVENTS_VERSION = 2
"""In version 1 faults did not declare what they may do (see upgrade_v1), and the broker was not asked what it says."""
_FORMAT = "chaos events"
FIRST_LINE = json.dumps({"format": _FORMAT, "version": EVENTS_VERSION}) + "\n"
_SAID_LENGTH = 300
_NEWER = "a newer version of the harness may have written it"


@cache
def _adapter(name: str) -> TypeAdapter[Any] | None:
    """Return what reads the events of a class back; None if there is no such class."""
    kind = vars(events).get(name)
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event:
        return TypeAdapter(kind)
    return None


def to_line(event: Event) -> str:
    """Write an event as one line of JSON, without its newline."""
    return json.dumps({"event": type(event).__name__} | asdict(event), ensure_ascii=False)


def from_line(line: str, upgrade: Upgrade | None = None) -> Event:
    """Read a line back; for one of version 1 `upgrade` has seen the lines before it. Raises ValueError for what is not an event."""
    try:
        data = parse_json(line)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("event"), str):
        raise ValueError("it is not an event")  # noqa: TRY004 - not JSON of this form, as if it were no JSON
    name = data.pop("event")
    adapter = _adapter(name)
    if adapter is None:
        raise ValueError(f"{name!r} is not an event that this harness knows; {_NEWER}")
    if upgrade is not None:
        data = upgrade(name, data)
    event: Event = adapter.validate_python(data)
    if event.at_ns < 0 or (isinstance(event, FaultInjected) and event.struck_at_ns < 0):
        raise ValueError(f"{name} has a time before all times")
    unknown = data.keys() - {field.name for field in fields(event)}
    if unknown:
        raise ValueError(f"{name} has a field that this harness does not know, {min(unknown)!r}; {_NEWER}")
    return event


class EventWriter:
    """A listener that writes each event to a file as it comes.

    A write that fails (a full disk) is raised once; what could not be written follows as soon as there is room.
    """

    def __init__(self, path: Path) -> None:
        """Create the file. Raises OSError."""
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._pending = FIRST_LINE.encode()
        self._told = False

    def __call__(self, event: Event) -> None:
        """Write an event, after those that are still to be written. Raises HistoryError the first time it fails."""
        self._pending += to_line(event).encode() + b"\n"
        try:
            self.flush()
        except HistoryError:
            if not self._told:
                self._told = True
                raise

    def flush(self) -> None:
        """Write what is still to be written. Raises HistoryError if there is no room for it."""
        try:
            while self._pending:
                self._pending = self._pending[self._file.write(self._pending) :]
        except OSError as error:
            raise HistoryError(
                f"the run's events {self._path} cannot be written: {error.strerror}; make room on its disk"
            ) from error

    def __enter__(self) -> Self:
        """Return itself; leaving closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the rest, as far as there is room, and close."""
        with suppress(HistoryError):
            self.flush()
        self._file.close()


def read_events(path: Path) -> Iterator[Event]:
    """Read a file of events; a torn last line (a killed harness) is left out. Raises HistoryError for other mistakes."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise HistoryError(f"cannot read the run's events {path}: {reason(error)}") from error
    complete, torn = lines[:-1], lines[-1]
    version = _version(path, complete[0]) if complete else 1
    upgrade = Upgrade() if version == 1 else None
    for number, line in enumerate(complete, start=1):
        if number == 1 and version > 1:
            continue
        try:
            yield from_line(line, upgrade)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            said = plain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            raise HistoryError(f"{path}:{number}: not an event of version {version}: {said}") from error
        except ValueError as error:
            raise HistoryError(f"{path}:{number}: {shortened(plain(str(error)), _SAID_LENGTH)}") from error
    if torn and complete:
        with suppress(ValueError):
            yield from_line(torn, upgrade)


def _version(path: Path, first_line: str) -> int:
    """Read the version of a file of events from its first line. Raises HistoryError for one that this harness does not read."""
    try:
        first = parse_json(first_line)
    except ValueError:
        return 1
    if not isinstance(first, dict) or "format" not in first:
        return 1
    version = first.get("version")
    if first["format"] != _FORMAT or type(version) is not int:
        raise HistoryError(f"{path}:1: it is not a file of a run's events")
    if not 1 < version <= EVENTS_VERSION:
        raise HistoryError(
            f"{path} has events of version {version}; this harness reads 1 to {EVENTS_VERSION}: read it with the version that wrote it"
        )
    return version
