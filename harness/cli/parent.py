"""A run that was started by another `chaos` ends with it, however that one ends.

Its standard input is a pipe that nobody writes to and that only the parent holds: the kernel closes it when the parent dies, also by
SIGKILL. Traffic processes know the death of their engine in the same way. Linux's death signal (prctl PR_SET_PDEATHSIG) would come when the
thread ends that started the run, and is of no other system.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from harness.cli.interruptible import is_interrupted

VARIABLE: Final = "CHAOS_ENDS_WITH_INPUT"
"""Set for a run whose standard input is such a pipe."""


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a run whose output is read, and which is interrupted when this process ends, or this block does."""
    reading, writing = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                command,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                env={**environment, VARIABLE: "1"},
                start_new_session=True,
            )
        finally:
            os.close(reading)
        yield process
    finally:
        os.close(writing)


def end_with_parent() -> None:
    """Interrupt this process when the one that started it is gone; nothing happens if no `chaos` did."""
    if os.environ.pop(VARIABLE, None) is None:
        return
    threading.Thread(target=_watch, args=(sys.stdin.fileno(),), name="parent", daemon=True).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    # A second signal would make it leave without cleaning up.
    if not is_interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
