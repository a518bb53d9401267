"""Standard input, output and error as a command finds them: closed, or read by nobody any more.

Neither changes what the command does or its exit code, which a script may go by while it throws the output away.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NOBODY_READS: Final = frozenset({errno.EPIPE, errno.EIO})
"""Of a pipe whose reader has ended, and of a terminal that was closed."""


class _Lasting(io.FileIO):
    """Takes what is written until nobody reads it any more, and then forgets it."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                raise
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(memoryview(data).cast("B"))


def prepare() -> None:
    """Let all three be there, and output last: to be called once, before anything is opened or written."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is the one that is missing; no file of a run may get it.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)


def _stream(descriptor: int, found: TextIO | None) -> TextIO:
    """Return a text stream like the one that was found, which lasts."""
    if found is not None:
        found.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(descriptor, "wb", closefd=False)),
        encoding="utf-8" if found is None else found.encoding,
        errors="backslashreplace" if found is None else found.errors,
        line_buffering=descriptor == 2 or os.isatty(descriptor),
        write_through=isinstance(found, io.TextIOWrapper) and found.write_through,
    )
