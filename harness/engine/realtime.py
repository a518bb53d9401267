"""Waking up in time on a machine whose processors are all taken: by the traffic that is watched, at full load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def take_realtime_priority() -> bool:
    """Have the calling thread run as soon as it wakes up, where this user may ask for it; returns whether it does now.

    It takes no more of the processors, only sooner. What it starts, threads and processes, is scheduled as usual. All threads of the harness
    that run beside traffic have to be prompt if one is: in Python only one of them runs at a time, and the others wait for it. Source:
    Linux, sched(7).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (OSError, AttributeError):
        return False
    return True


@contextmanager
def realtime_priority() -> Iterator[None]:
    """Have the calling thread be prompt for as long as it lasts."""
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if hasattr(os, "sched_getscheduler") else None
    became = take_realtime_priority()
    try:
        yield
    finally:
        if became and before is not None:
            os.sched_setscheduler(0, before[0] | os.SCHED_RESET_ON_FORK, before[1])
