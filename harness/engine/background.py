"""Work beside the run, on a thread that does not keep the program from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """One piece of work, begun at once. An error that it ends with is raised where it is waited for, and lost nowhere."""

    def __init__(self, work: Callable[[], None], name: str = "background") -> None:
        """Begin it."""
        self._work = work
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for its end, at most for some time. Raises what it ended with, once."""
        self._thread.join(timeout_s)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._error = error
