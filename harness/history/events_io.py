"""Run events as JSON lines, exactly there and back, by the name of the event's class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness import events
from harness.errors import HistoryError
from harness.events import Event


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


def from_line(line: str) -> Event:
    """Read a line back. Raises ValueError for what is no event."""
    data = json.loads(line)
    name = data.pop("event")
    event: Event = _adapters()[name].validate_python(data)
    return event


def read_events(path: Path) -> Iterator[Event]:
    """Read a file of events; a torn last line (a killed harness) is left out. Raises HistoryError for other mistakes."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise HistoryError(f"cannot read the run's events {path}: {error.strerror}") from error
    complete, torn = lines[:-1], lines[-1]
    for number, line in enumerate(complete, start=1):
        try:
            yield from_line(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise HistoryError(f"{path}:{number}: not an event of this version: {reason}") from error
        except (ValueError, KeyError) as error:
            raise HistoryError(f"{path}:{number}: not an event of this version: {error}") from error
    if torn:
        try:
            yield from_line(torn)
        except (ValueError, KeyError, ValidationError):
            return
