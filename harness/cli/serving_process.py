"""A process that does one command after the other for this one, as whoever started it sees it; see `harness.cli.serving`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO

from harness.cli import INTERRUPTED
from harness.cli.serving import ANSWERS_VARIABLE
from harness.interrupts import SIGNALS


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    """Its exit code; below 0, the signal that ended the process with it."""
    output: str
    errors: str


class ServingProcess:
    """Does one command at a time. When this process ends, however it does, the command under way is interrupted."""

    def __init__(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it. Raises OSError."""
        self.serves = True
        """Whether it can do a further command."""
        with ExitStack() as stack:
            self._output = _Printed(stack.enter_context(tempfile.TemporaryFile()))
            self._errors = _Printed(stack.enter_context(tempfile.TemporaryFile()))
            reading, writing = os.pipe()
            self._answers = stack.enter_context(os.fdopen(reading, encoding="utf-8"))
            # A signal waits until the process has imported what it needs; it inherits this thread's mask.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                self._process = subprocess.Popen(
                    program,
                    stdin=subprocess.PIPE,
                    stdout=self._output.file,
                    stderr=self._errors.file,
                    text=True,
                    env={**environment, ANSWERS_VARIABLE: str(writing)},
                    pass_fds=(writing,),
                    # An interrupt from the terminal reaches it once, by `interrupt`.
                    start_new_session=True,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.close(writing)
            self._files = stack.pop_all()
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._orders = self._process.stdin

    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def order(self, arguments: Sequence[str]) -> None:
        """Have a command begin, given its command line without the program's name."""
        with suppress(BrokenPipeError):  # it has ended, which `wait` finds
            self._orders.write(json.dumps(list(arguments)) + "\n")
            self._orders.flush()

    def wait(self) -> Done:
        """Wait for the command to end, or the process."""
        answer = self._answers.readline()
        code = int(answer) if answer else self._process.wait()
        self.serves = bool(answer) and code != INTERRUPTED
        return Done(code, self._output.more(), self._errors.more())

    def interrupt(self) -> None:
        """Interrupt the command under way; the process ends with it, or at once."""
        if self.lives():
            self._process.send_signal(signal.SIGINT)

    def no_more(self) -> None:
        """Have it end once it has nothing to do."""
        with suppress(BrokenPipeError):
            self._orders.close()

    def close(self) -> None:
        """Wait until it has ended, and its brokers."""
        self.no_more()
        self._process.wait()
        self._files.close()


@dataclass(slots=True)
class _Printed:
    """A file that a process prints to."""

    file: IO[bytes]
    _read_bytes: int = 0

    def more(self) -> str:
        """Return what was printed since the last time."""
        length = os.fstat(self.file.fileno()).st_size - self._read_bytes
        found = os.pread(self.file.fileno(), length, self._read_bytes)
        self._read_bytes += len(found)
        return found.decode(errors="backslashreplace")
