"""Naming a process so that a later one with the same number is never taken for it.

A pid alone is reused. Linux tells the start of a process in clock ticks since the boot (proc(5), `starttime`), which no
change of the clock moves; the boot and the pid namespace complete it. Elsewhere the start is psutil's wall clock time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

PROC = Path("/proc")
MOST_PID = 1 << 22
"""The largest number that Linux gives to a process (proc(5), `pid_max`)."""
_ENDED = ("Z", "X")
"""States of a process that has ended and was not waited for."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, told apart from every other: its pid, its start, and where both are counted."""

    pid: int
    started: str
    """Empty for a process that was already gone when it was marked: it matches nothing."""
    place: str
    """The boot and the pid namespace that the pid belongs to; empty where there are none."""

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """Mark a process of this machine."""
        return cls(pid, _started(pid), _place())

    @classmethod
    def parse(cls, text: str) -> ProcessMark:
        """Read what `str` gives; what another version wrote gives at least the pid. Raises ValueError, also for no process's number."""
        pid, _, rest = text.partition(":")
        started, _, place = rest.partition("@")
        if not (pid.isascii() and pid.isdigit() and len(pid) <= len(str(MOST_PID)) and 0 < int(pid) <= MOST_PID):
            raise ValueError(f"{pid[:24]!r} is not the number of a process")
        return cls(int(pid), started, place)

    def __str__(self) -> str:
        """Format as `pid:start@place`."""
        return f"{self.pid}:{self.started}@{self.place}"

    def process(self) -> psutil.Process | None:
        """Return the process if it lives, can be seen from here, is the one that was marked, and belongs to this user."""
        if self.place != _place() or not self.started:
            return None
        try:
            process = psutil.Process(self.pid)
            mine = process.uids().real == os.getuid()
        except psutil.Error:
            return None
        return process if mine and _started(self.pid) == self.started else None

    def may_live(self) -> bool:
        """Whether the process may still live: False only when it is certain that it does not.

        A process of another pid namespace cannot be seen from here (two containers that share a Docker engine), nor can
        one of another user under `hidepid`; a mark of another version cannot be compared. None of them is called dead.
        """
        here, started = _place(), _started(self.pid)
        if not self.place:
            return bool(started) or _exists_unseen(self.pid)
        if self.place == here:
            return started == self.started if started else _exists_unseen(self.pid)
        return self.place.partition(".")[0] == here.partition(".")[0]


def _started(pid: int) -> str:
    """When a living process began; empty if there is none to be seen."""
    if not PROC.joinpath("self/stat").exists():
        return _started_by_clock(pid)
    try:
        # The command's name, in parentheses, may hold anything.
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in _ENDED else fields[19]


def _started_by_clock(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""


def _exists_unseen(pid: int) -> bool:
    """Whether there is a process that cannot be looked at: the kernel tells `not permitted` apart from `no such`."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not (PROC / str(pid)).exists()
    except OSError:
        return False
    return False


@cache
def _place() -> str:
    try:
        boot = PROC.joinpath("sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot[:8]}.{(PROC / 'self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return ""
