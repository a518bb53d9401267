"""A listener that writes every event as a line of JSON, at once: a kill of the harness costs at most half a line."""

from __future__ import annotations

from pathlib import Path

from harness.errors import HistoryError
from harness.events import Event
from harness.history.events_io import to_line


class JsonLines:
    """Appends events to a file, flushed line by line. Usable as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending. Raises HistoryError where it cannot be written."""
        self._path = path
        try:
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
        except OSError as error:
            raise HistoryError(
                f"the run's events cannot be written to {path}: {error.strerror}; choose another folder with --reports"
            ) from error

    def __call__(self, event: Event) -> None:
        """Write one event. Raises HistoryError, e.g. where the disk is full."""
        try:
            self._file.write(to_line(event) + "\n")
            self._file.flush()
        except OSError as error:
            raise HistoryError(
                f"the run's events cannot be written to {self._path}: {error.strerror}; make room, or choose another "
                "folder with --reports"
            ) from error

    def close(self) -> None:
        """Close the file; further calls are in order."""
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
