"""What killed harnesses left, by their ledgers: removed, and never more than that.

A process is ended if it is the one that was written down, by number and start time, or its child, or if it has the run's token in its
environment; in any case only this user's, and never one that this process descends from. A directory is removed if it is the run's by
what is in it (`Book.owns`). A ledger that cannot be believed is set aside and blocks nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.errors import InfrastructureError
from harness.ledger import TOKEN_VARIABLE, remove_directory, state_directory
from harness.ledger_book import Book, DamagedLedgerError, ledgers, read
from harness.plain import plain

SWEEP_ROUNDS = 5
"""How often to look again for processes that were born while their parents were being killed."""
DEATH_TIMEOUT_S = 5.0
DEATH_POLL_S = 0.05
LOCK_FILE = "sweep.lock"
DAMAGED = ".damaged"
LONGEST_NAME = 200
"""Of what is set aside, before what is added to it: a file system takes 255 bytes."""


class Swept(NamedTuple):
    """What a sweep did."""

    removed: tuple[str, ...]
    """A line for each thing that was removed."""
    remarks: tuple[str, ...]
    """A sentence for each ledger that was set aside, or could not be."""


def stale() -> tuple[Book, ...]:
    """Find the runs whose owner is dead. What is damaged is left alone."""
    return tuple(found for path in ledgers() if isinstance(found := _look(path), Book))


def _look(path: Path) -> Book | DamagedLedgerError | None:
    try:
        return read(path)
    except DamagedLedgerError as error:
        return error


def sweep() -> Swept:
    """Remove what dead harnesses left. Never touches a living owner's run. Raises InfrastructureError where nothing can be looked at.

    Two sweeps at once do one after the other. What cannot be removed stays written down for the next one.
    """
    removed: list[str] = []
    remarks: list[str] = []
    with _one_at_a_time():
        for path in ledgers():
            match _look(path):
                case Book() as book:
                    strange = _sweep(book, removed)
                    if strange is not None:
                        remarks.append(
                            _set_aside(path, f"it names {strange}, which is not its run's and is left alone")
                        )
                case DamagedLedgerError() as error:
                    remarks.append(_set_aside(path, str(error)))
                case None:
                    continue
    return Swept(tuple(removed), tuple(remarks))


def _sweep(book: Book, removed: list[str]) -> Path | None:
    """Remove what a run left, and its ledger with the last of it; returns a directory that it names and that is not its own."""
    removed += _end_processes(book)
    left, strange = False, None
    for directory in book.directories:
        try:
            if book.owns(directory):
                remove_directory(directory)
                if directory.exists():
                    left = True
                else:
                    removed.append(f"directory {plain(str(directory))}")
            else:
                strange = directory
        except FileNotFoundError:
            continue
        except OSError:
            left = True
    if strange is None and not left and not _living(book):
        book.path.with_suffix(".tmp").unlink(missing_ok=True)
        book.path.unlink(missing_ok=True)
    return strange


def _set_aside(path: Path, why: str) -> str:
    """Rename a ledger that cannot be believed, so that nobody reads it again, and say so."""
    said = f"{plain(str(path))} is no ledger that can be gone by: {plain(why)}"
    place = _free(path)
    try:
        path.rename(place)
    except OSError as error:
        return f"{said}; it could not be set aside ({error.strerror})"
    return f"{said}; it was set aside as {plain(place.name)}, and what its run may have left is for you to find"


def _free(path: Path) -> Path:
    """Return a name beside a path that nothing has."""
    names = (f".{secrets.token_hex(4)}{DAMAGED}" if number else DAMAGED for number in count())
    cut = path.name[:LONGEST_NAME]
    return next(place for name in names if not os.path.lexists(place := path.with_name(cut + name)))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    lock = _lock()
    try:
        # Let go by the kernel, however this process ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _lock() -> int:
    """Open the file that sweeps lock; what is there instead of a file is renamed."""
    path = state_directory() / LOCK_FILE
    try:
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            path.rename(_free(path))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise InfrastructureError(
            f"what killed runs left cannot be looked for: {path}: {error.strerror}; remove that, or name another folder in "
            "CHAOS_STATE_DIR"
        ) from error


def _end_processes(book: Book) -> list[str]:
    ended: list[str] = []
    for _ in range(SWEEP_ROUNDS):
        living = _living(book)
        if not living:
            break
        for process in living:
            try:
                name = process.name()
                # Ends a frozen process as well: SIGKILL waits for no SIGCONT.
                process.kill()
            except psutil.Error:
                continue
            ended.append(f"process {process.pid} ({plain(name)})")
        deadline = time.monotonic() + DEATH_TIMEOUT_S
        # Zombies count as ended: an orphan waits for the system's first process to take notice, which may take its time.
        while any(_runs(process) for process in living) and time.monotonic() < deadline:
            psutil.wait_procs(living, timeout=DEATH_POLL_S)
    return ended


def _living(book: Book) -> tuple[psutil.Process, ...]:
    """Return the run's processes that still live: those written down, their children, and the bearers of its token."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for mark in book.processes:
        root = mark.process()
        if root is None or root.pid in ours:
            continue
        found[root.pid] = root
        try:
            found |= {child.pid: child for child in root.children(recursive=True)}
        except psutil.Error:
            continue
    for process in psutil.process_iter():
        if _token_of(process) == book.token:
            found[process.pid] = process
    return tuple(process for pid, process in found.items() if pid not in ours and _runs(process))


def _token_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TOKEN_VARIABLE)
    except (psutil.Error, OSError):
        return None


def _runs(process: psutil.Process) -> bool:
    """Whether it is there, is no zombie, and is this user's."""
    try:
        mine = process.uids().real == os.getuid()
        return mine and bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
