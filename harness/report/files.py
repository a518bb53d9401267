"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def replace(path: Path, text: str) -> Path:
    """Write beside the file's place first, then move there; a reader sees the old one or the new one.

    A link is followed, and what is no file (a pipe, a device, a folder) is left alone. Raises OSError.
    """
    place = Path(os.path.realpath(path))
    if os.path.lexists(place) and not place.is_file():
        raise FileExistsError(errno.EEXIST, "it is there, and is no file", str(path))
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        # A text may hold halves of surrogate pairs, which no encoding takes.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    return path
