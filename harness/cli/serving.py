"""`python -m harness.cli.serving`: a process that does one command after the other for another `chaos`, on brokers that it keeps.

Each line of its standard input is a command line, as a JSON array. What the command prints goes to standard output and error; its exit code
is answered as a line on a pipe of its own, once everything was printed. The process ends with its input. That is also how it learns that the
process that started it is gone, even by SIGKILL: the kernel then closes the pipe, and the command under way is ended in order. Linux's death
signal (prctl PR_SET_PDEATHSIG) would come when the thread ends that started the process, and no other system has it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

from harness.cli import INTERRUPTED, answer, take_requests_to_end
from harness.cli.brokers import pooled
from harness.cli.interruptible import is_interrupted
from harness.cli.streams import prepare
from harness.interrupts import SIGNALS

ANSWERS_VARIABLE: Final = "CHAOS_ANSWERS"
"""Number of the file descriptor that exit codes are written to."""


class _Orders:
    """The commands to come, read on a thread of their own, so that the end of the input is seen while a command runs."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._pending = 0
        """Commands that came and have not ended."""
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def next(self) -> list[str] | None:
        """Wait for the next command line; None at the end of the input."""
        line = self._lines.get()
        if line is None:
            return None
        arguments: list[str] = json.loads(line)
        return arguments

    def done(self) -> None:
        """Note that the command has ended."""
        with self._lock:
            self._pending -= 1

    def _read(self) -> None:
        with os.fdopen(self._descriptor, encoding="utf-8") as orders:
            for line in orders:
                with self._lock:
                    self._pending += 1
                self._lines.put(line)
        self._lines.put(None)
        with self._lock:
            # A second signal would make the command leave without cleaning up.
            if self._pending and not is_interrupted():
                os.kill(os.getpid(), signal.SIGTERM)


def serve(do: Callable[[Sequence[str]], int], orders: int, answers: int) -> None:
    """Do the commands that come on one file descriptor, and answer their exit codes on another, until the input ends or one was interrupted."""
    # Blocked by whoever started this process, so that no import before this was cut short.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    waiting = _Orders(orders)
    with os.fdopen(answers, "w", encoding="utf-8") as told, pooled():
        code = 0
        while code != INTERRUPTED and (arguments := waiting.next()) is not None:
            code = do(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            waiting.done()
            told.write(f"{code}\n")
            told.flush()


def main() -> None:
    """Serve whoever started this process."""
    prepare()
    take_requests_to_end()
    if ANSWERS_VARIABLE not in os.environ:
        sys.exit("this is started by chaos itself, for runs at once (-j)")
    answers = int(os.environ.pop(ANSWERS_VARIABLE))
    os.set_inheritable(answers, False)
    # No process that a command starts may read the commands to come.
    orders = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        serve(answer, orders, answers)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
