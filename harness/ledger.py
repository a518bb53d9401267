"""What a run started, written down so that a harness that is killed leaves nothing after the next start or `chaos clean`.

One JSON file a run in the user's state directory (CHAOS_STATE_DIR overrides it), written before or at once after a thing is
started. What slips through that gap is found by a token in the environment, which every process of the run inherits.
A directory of the run holds the token as well, so that no damaged ledger can have another directory removed: see
`harness.ledger_book` for what is read of a ledger, and `harness.leftovers` for what is done about one whose harness is dead.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import platformdirs

from harness.errors import InfrastructureError
from harness.process_mark import ProcessMark

TOKEN_VARIABLE = "CHAOS_LEDGER"  # noqa: S105 - a name, not a secret
TOKEN_BYTES: Final = 8
MARK_FILE: Final = ".chaos-ledger"
"""In each directory that a ledger names: its token."""
SUFFIX: Final = ".json"


def state_directory() -> Path:
    """Return (and make) the directory of the ledgers. Raises InfrastructureError."""
    chosen = os.environ.get("CHAOS_STATE_DIR")
    try:
        path = Path(chosen) if chosen else platformdirs.user_state_path("chaos-harness")
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise InfrastructureError(
            f"the folder that notes what a run started cannot be made ({error}); name another one in CHAOS_STATE_DIR"
        ) from error
    return path


def owner_label() -> str:
    """Name this process, for labels of containers, volumes and networks: `pid:start time` and where they are counted."""
    return str(ProcessMark.of(os.getpid()))


def owner_alive(label: str) -> bool:
    """Whether the process that a label names lives, as far as can be told from here; a label that is none names nobody."""
    try:
        return ProcessMark.parse(label).may_live()
    except ValueError:
        return False


def remove_directory(path: Path) -> None:
    """Remove a directory that a ledger made, as far as that can be done; what says whose it is goes last. Raises OSError."""
    for child in path.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, ignore_errors=True)
        elif child.name != MARK_FILE:
            child.unlink(missing_ok=True)
    if all(child.name == MARK_FILE for child in path.iterdir()):
        shutil.rmtree(path)


class Ledger:
    """One run's list of what it started, owned by this process. Safe to use from several threads."""

    def __init__(self, run_id: str) -> None:
        """Open the run's ledger. Raises InfrastructureError when it cannot be written."""
        self.run_id = run_id
        self._path = state_directory() / f"{run_id}{SUFFIX}"
        self._owner = owner_label()
        self._token = secrets.token_hex(TOKEN_BYTES)
        self._processes: list[ProcessMark] = []
        self._directories: list[str] = []
        self._address = ""
        self._lock = Lock()
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """What to put into the environment of every process of the run, so that a sweep knows it and its children."""
        return {TOKEN_VARIABLE: self._token}

    def add_process(self, pid: int) -> None:
        """Write down a process that this run started, or whose end is the run's to see to."""
        with self._lock:
            self._processes.append(ProcessMark.of(pid))
            self._write()

    def make_directory(self, parent: Path, purpose: str, *, hidden: bool = False) -> Path:
        """Make a private directory that is the run's to remove, written down before it is there. Raises OSError."""
        path = parent.resolve() / f"{'.' * hidden}chaos-{purpose}-{secrets.token_hex(6)}"
        with self._lock:
            self._directories.append(str(path))
            self._write()
        path.mkdir(mode=0o700)
        (path / MARK_FILE).write_text(self._token, encoding="ascii")
        return path

    @contextmanager
    def directory(self, parent: Path, purpose: str) -> Iterator[Path]:
        """Like `make_directory`, removed at the end of the block. Raises OSError."""
        path = self.make_directory(parent, purpose)
        try:
            yield path
        finally:
            remove_directory(path)

    def set_address(self, url: str) -> None:
        """Write down where the run's broker answers, for commands in other consoles."""
        with self._lock:
            self._address = url
            self._write()

    def close(self) -> None:
        """Forget the run: everything it started is gone."""
        with self._lock:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        data = {
            "owner": self._owner,
            "token": self._token,
            "processes": [str(mark) for mark in self._processes],
            "directories": self._directories,
            "address": self._address,
        }
        temporary = self._path.with_suffix(".tmp")
        try:
            # The address may hold a password, and the token is nobody else's business.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(data))
            temporary.replace(self._path)
        except OSError as error:
            raise InfrastructureError(
                f"{self._path} cannot be written ({error.strerror}), and nothing is started that a killed run could leave "
                "behind unnoticed; make room there, or name another folder in CHAOS_STATE_DIR"
            ) from error
