"""What is read of a ledger, which may be damaged: every entry is checked before anything is done about it.

A ledger is believed as a whole or not at all: one wrong entry makes all others doubtful.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.files import open_file, parse_json, reason
from harness.ledger import MARK_FILE, SUFFIX, TOKEN_BYTES, state_directory
from harness.process_mark import ProcessMark

MOST_BYTES: Final = 1 << 24
"""Of a ledger. One of a run with a thousand processes has a hundredth of it."""
_TOKEN: Final = re.compile(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}")
_OWN_NAME: Final = re.compile(r"\.?chaos-[a-z]+(-[a-z]+)*-[0-9a-f]{12}")
"""Of a directory that `Ledger.make_directory` made."""


class DamagedLedgerError(ValueError):
    """A file that should be a ledger and is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Book:
    """A run as its ledger has it."""

    path: Path
    owner: ProcessMark
    token: str
    processes: tuple[ProcessMark, ...]
    directories: tuple[Path, ...]
    """By their form those of a ledger; whether they are this one's is in them: see `owns`."""
    address: str
    """Where its broker answers, if it was one by hand."""

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.path.stem

    def owns(self, directory: Path) -> bool:
        """Whether a directory is this run's: this user's, no link anywhere on the way to it, and with the run's token in it.

        One with nothing in it is the run's as well: a harness that is killed in between has not written the token yet.
        Raises OSError where it cannot be looked at.
        """
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or _has_link(directory):
            return False
        mark = directory / MARK_FILE
        if not os.path.lexists(mark):
            return not any(directory.iterdir())
        if not stat.S_ISREG(mark.lstat().st_mode):
            return False
        with open_file(mark) as file:
            return file.read(len(self.token) + 1) == self.token.encode()


def ledgers() -> tuple[Path, ...]:
    """Return what may be a ledger, in the order of the names."""
    return tuple(sorted(state_directory().glob(f"*{SUFFIX}")))


def read(path: Path) -> Book | None:
    """Read a ledger; None where it has gone meanwhile, or where its owner may live. Raises DamagedLedgerError."""
    book = read_any(path)
    return None if book is None or book.owner.may_live() else book


def read_any(path: Path) -> Book | None:
    """Read a ledger, also one whose owner lives; None where it has gone meanwhile. Raises DamagedLedgerError."""
    try:
        if path.is_symlink():
            raise DamagedLedgerError("it is a link, and should be a file")
        with open_file(path) as file:
            octets = file.read(MOST_BYTES + 1)
        if len(octets) > MOST_BYTES:
            raise DamagedLedgerError(f"it has more than {MOST_BYTES} bytes")
        return _book(path, parse_json(octets.decode("utf-8")))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DamagedLedgerError("it is not UTF-8") from error
    except (OSError, ValueError) as error:
        raise DamagedLedgerError(reason(error)) from error


def _book(path: Path, data: Any) -> Book:
    if not isinstance(data, dict):
        raise DamagedLedgerError("it is not a JSON object")
    owner = ProcessMark.parse(_text(data, "owner"))
    # A ledger of a version that noted no address is read as well.
    token, address = _text(data, "token"), _text(data, "address") if "address" in data else ""
    if not _TOKEN.fullmatch(token):
        raise DamagedLedgerError("its token is none")
    return Book(
        path,
        owner,
        token,
        tuple(ProcessMark.parse(mark) for mark in _texts(data, "processes")),
        tuple(_directory(text) for text in _texts(data, "directories")),
        address,
    )


def _text(data: dict[str, Any], name: str) -> str:
    text = data.get(name)
    if not isinstance(text, str):
        raise DamagedLedgerError(f"its {name} is not a text")
    return text


def _texts(data: dict[str, Any], name: str) -> Iterator[str]:
    listed = data.get(name)
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise DamagedLedgerError(f"its {name} are not a list of texts")
    yield from listed


def _directory(text: str) -> Path:
    path = Path(text)
    if "\0" in text or ".." in path.parts or not path.is_absolute() or not _OWN_NAME.fullmatch(path.name):
        raise DamagedLedgerError(f"it names {text[:200]!r}, which no run makes")
    return path


def _has_link(path: Path) -> bool:
    return any(parent.is_symlink() for parent in (path, *path.parents))
