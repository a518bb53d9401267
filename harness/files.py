"""Reading files that may be damaged: what is no file, what is no text, and JSON that nobody wrote.

A FIFO is never waited for, a nesting never ends in a stack overflow, and a number is never too large for an array. Whoever
reads says which file it was, and what to do about it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

MOST_NUMBER: Final = 1 << 62
"""Whole numbers beyond it are damage: a difference of two that are less fits into 64 bits."""
_KINDS: Final = (
    (stat.S_ISDIR, "it is a directory, and should be a file"),
    (stat.S_ISFIFO, "it is a pipe, and should be a file"),
)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError, also for what is not a regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    said = next((words for is_kind, words in _KINDS if is_kind(mode)), "it is not a file")
    raise OSError(errno.EINVAL, said, str(path))


def read_bytes(path: Path) -> bytes:
    """Read a file as it is. Raises OSError, also for what is not a regular file."""
    with open_file(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Read a file of UTF-8. Raises OSError, and ValueError for other bytes."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error


def parse_json(text: str) -> Any:
    """Read JSON as RFC 8259 has it. Raises ValueError, also for what is nested too deeply and for numbers beyond `MOST_NUMBER`."""
    try:
        return json.loads(text, parse_int=_whole, parse_float=_float, parse_constant=_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_text(value: object) -> bool:
    """Whether it is a text that can be written: JSON may hold halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def reason(error: OSError | ValueError) -> str:
    """Say in a few words why a file could not be read."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.partition("\n")[0] or type(error).__name__


def _whole(text: str) -> int:
    if len(text) > len(str(MOST_NUMBER)) + 1 or abs(int(text)) > MOST_NUMBER:
        raise ValueError(f"the number {text[:24]} is too large")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if abs(number) > MOST_NUMBER:
        raise ValueError(f"the number {text[:24]} is too large")
    return number


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a number")
