"""What Ctrl-C, SIGTERM and a closed terminal do to a command that has something to put in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from harness.cli.options import say
from harness.errors import ExitCode
from harness.interrupts import SIGNALS

LEFT = "left at once; `chaos clean` (or the next start) removes the broker and the processes of this run"


@contextmanager
def interruptible(said: str) -> Iterator[None]:
    """The first signal says a sentence and raises KeyboardInterrupt, so that the block ends in order; the second leaves at once.

    A hangup that is ignored from the start (nohup) stays ignored.
    """
    count = 0

    def on_signal(_number: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count > 1:
            say(LEFT)
            os._exit(int(ExitCode.INTERRUPTED))
        say(said)
        raise KeyboardInterrupt

    kept = [number for number in SIGNALS if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in SIGNALS if number not in kept}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
