"""Run events as JSON lines, exactly there and back, by the name of the event's class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from harness import events
from harness.errors import HistoryError
from harness.events import Event
from harness.history.upgrade_v1 import Upgrade

EVENTS_FILE = "events.jsonl"


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    classes = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]
    return {kind.__name__: TypeAdapter(kind) for kind in classes}


def to_line(event: Event) -> str:
    """Write an event as one line of JSON, without its newline."""
    return json.dumps({"event": type(event).__name__} | asdict(event), ensure_ascii=False)


def from_line(line: str, upgrade: Upgrade | None = None) -> Event:
    """Read a line back; `upgrade` has seen the lines before it. Raises ValueError for what is not an event."""
    data = json.loads(line)
    name = data.pop("event")
    event: Event = _adapters()[name].validate_python((upgrade or Upgrade())(name, data))
    return event


class EventWriter:
    """A listener that writes each event to a file as it comes.

    A write that fails (a full disk) is raised once; what could not be written follows as soon as there is room.
    """

    def __init__(self, path: Path) -> None:
        """Create the file. Raises OSError."""
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._pending = b""
        self._told = False

    def __call__(self, event: Event) -> None:
        """Write an event, after those that are still to be written. Raises HistoryError the first time it fails."""
        self._pending += to_line(event).encode() + b"\n"
        try:
            self._write()
        except HistoryError:
            if not self._told:
                self._told = True
                raise

    def _write(self) -> None:
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
        """Write the rest and close. Raises HistoryError if there is still no room."""
        try:
            self._write()
        finally:
            self._file.close()


def read_events(path: Path) -> Iterator[Event]:
    """Read a file of events; a torn last line (a killed harness) is left out. Raises HistoryError for other mistakes."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise HistoryError(f"cannot read the run's events {path}: {error.strerror}") from error
    complete, torn, upgrade = lines[:-1], lines[-1], Upgrade()
    for number, line in enumerate(complete, start=1):
        try:
            yield from_line(line, upgrade)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise HistoryError(f"{path}:{number}: not an event of this version: {reason}") from error
        except (ValueError, KeyError) as error:
            raise HistoryError(f"{path}:{number}: not an event of this version: {error}") from error
    if torn:
        try:
            yield from_line(torn, upgrade)
        except (ValueError, KeyError, ValidationError):
            return
