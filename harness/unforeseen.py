"""Errors that nobody foresaw: a fault of the harness, which must not look like a verdict.

Exit code 3, one sentence for people, and the traceback in a file that a report of the fault can bring along.
"""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from typing import Final

from harness.plain import plain, shortened

TRACEBACK_FILE: Final = "harness-error.txt"
WORDS_LENGTH: Final = 300


def sentence(error: BaseException, folder: Path | None = None) -> str:
    """Keep the traceback in `folder`, or in a file of its own without one, and return what people are told."""
    words = plain(str(error))
    kind = type(error).__name__
    said = shortened(f"{kind}: {words}" if words else kind, WORDS_LENGTH)
    kept = _keep(error, folder)
    place = f"the traceback is in {plain(str(kept))}; please report it with that file" if kept else "please report it"
    return f"{said}: this is a fault of the harness, and no verdict; {place}"


def _keep(error: BaseException, folder: Path | None) -> Path | None:
    """Write the traceback to a file, added to what is there already; None where nothing can be written."""
    text = "".join(traceback.format_exception(error))
    try:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="chaos-error-"))
        file = folder / TRACEBACK_FILE
        with file.open("a", encoding="utf-8", errors="backslashreplace") as written:
            written.write(text + "\n")
    except OSError:
        return None
    return file
