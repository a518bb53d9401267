"""What people are told of an error; one that nobody foresaw is a fault of the harness, which must not look like a verdict.

What a limit of the machine ended (memory, open files, threads) is no such fault. Exit code 3, one sentence, and the traceback in a file that a report of the fault can bring along.
"""

from __future__ import annotations

import errno
import resource
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.errors import ChaosError
from harness.masking import without_passwords
from harness.plain import plain, shortened

TRACEBACK_FILE: Final = "harness-error.txt"
WORDS_LENGTH: Final = 300


def described(error: BaseException, folder: Path | None = None) -> str:
    """Return what people are told of an error. The traceback of one that nobody foresaw is kept in `folder`, or elsewhere without one."""
    match error:
        case ChaosError():
            return str(error)
        case _ if (limit := _limit(error)) is not None:
            return limit
        case OSError() if error.strerror:
            place = f" ({plain(str(error.filename))})" if error.filename else ""
            return f"{error.strerror}{place}"
        case _:
            return _unforeseen(error, folder)


@contextmanager
def where(place: str) -> Iterator[None]:
    """Let an error that passes say where it happened, should nobody have foreseen it: `step 2 (kill)`."""
    try:
        yield
    except Exception as error:
        error.add_note(place)
        raise


def _limit(error: BaseException) -> str | None:
    """Say which limit of this machine an error comes of, which is no fault of the harness; None for any other error."""
    match error:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return (
                f"there is no memory left: this machine's, or what a limit allows ({_allowed(resource.RLIMIT_AS)}, ulimit -v); "
                "end what needs it, or raise the limit, and try again"
            )
        case OSError(errno=errno.EMFILE):
            return (
                f"too many open files: a process may have {_allowed(resource.RLIMIT_NOFILE)} here (ulimit -n); "
                "raise the limit, and try again"
            )
        case OSError(errno=errno.ENFILE):
            return "too many open files on this machine (fs.file-max); end what holds them, or raise the limit, and try again"
        case RuntimeError() if str(error) == "can't start new thread":
            return (
                f"no thread can be started: this machine's memory, or the limit on processes ({_allowed(resource.RLIMIT_NPROC)}, "
                "ulimit -u), is used up; end what needs it, or raise the limit, and try again"
            )
    return None


def _allowed(limit: int) -> str:
    allowed = resource.getrlimit(limit)[0]
    return "any number" if allowed == resource.RLIM_INFINITY else f"{allowed:,}"


def _unforeseen(error: BaseException, folder: Path | None) -> str:
    words = plain(without_passwords(str(error)))
    kind = type(error).__name__
    said = shortened(f"{kind}: {words}" if words else kind, WORDS_LENGTH)
    places = "".join(f"{plain(place)}: " for place in getattr(error, "__notes__", ()))
    kept = _keep(error, folder)
    file = f"the traceback is in {plain(str(kept))}; please report it with that file" if kept else "please report it"
    return f"{places}{said}: this is a fault of the harness, and no verdict; {file}"


def _keep(error: BaseException, folder: Path | None) -> Path | None:
    """Write the traceback to a file, after what is there already; None where nothing can be written."""
    text = without_passwords("".join(traceback.format_exception(error)))
    try:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="chaos-error-"))
        file = folder / TRACEBACK_FILE
        with file.open("a", encoding="utf-8", errors="backslashreplace") as written:
            written.write(text + "\n")
    except OSError:
        return None
    return file
