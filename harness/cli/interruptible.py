"""What Ctrl-C, SIGTERM and a closed terminal do to a command that has something to put in order."""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_stack
from types import FrameType

from harness.cli.options import say
from harness.errors import ExitCode
from harness.interrupts import SIGNALS

LEFT = "left at once; `chaos clean` (or the next start) removes the broker and the processes of this run"

IMPORT_POLL_S = 0.01
"""How soon it is looked again whether an import, which a signal must not cut short, is done."""


_interrupted = threading.Event()


def is_interrupted() -> bool:
    """Whether a signal has interrupted the block of `interruptible` that is under way, or was the last one."""
    return _interrupted.is_set()


@contextmanager
def interruptible(said: str) -> Iterator[None]:
    """The first signal says a sentence and raises KeyboardInterrupt, so that the block ends in order; the second leaves at once.

    An import is not cut short: half a package would stay behind, which another thread, or the cleaning up, then stumbles over.
    A hangup that is ignored from the start (nohup) stays ignored.
    """
    count = 0
    again: threading.Timer | None = None
    outside = _imports(inspect.currentframe())
    _interrupted.clear()

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal count, again
        if again is None:
            count += 1
            _interrupted.set()
            if count > 1:
                say(LEFT)
                os._exit(int(ExitCode.INTERRUPTED))
            say(said)
        again = None
        if _imports(frame) > outside:
            again = threading.Timer(IMPORT_POLL_S, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        raise KeyboardInterrupt

    kept = [number for number in SIGNALS if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in SIGNALS if number not in kept}
    try:
        yield
    finally:
        if again is not None:
            again.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    if again is not None:
        raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> int:
    """How much of a stack is the import of modules, in frames."""
    return sum(each.f_globals.get("__name__") == "importlib._bootstrap" for each, _ in walk_stack(frame))
