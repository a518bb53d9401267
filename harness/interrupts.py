"""Ctrl-C and its like, kept away from what must not be cut short: cleaning up, writing reports, starting a process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, an orderly request to end, and a terminal that was closed."""


@contextmanager
def shielded() -> Iterator[None]:
    """Run a block to its end: a KeyboardInterrupt that a signal's handler raises meanwhile is raised after it.

    The handlers themselves run at once, so that one may still say something, or leave the process. Only the main thread is ever
    interrupted; in another one nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False
    # What a signal is set to is a function, or a number that says that there is none.
    found = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in found.items() if callable(handler)}

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        try:
            handlers[signal.Signals(number)](number, frame)
        except KeyboardInterrupt:
            interrupted = True

    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if interrupted:
        raise KeyboardInterrupt
