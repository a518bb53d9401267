"""What the broker's log says around each fault.

The log has wall-clock times, the run's events monotonic ones. The run's start is known by both, the wall clock to the second,
so an excerpt is cut generously.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from harness.report.plain import shortened
from harness.verdict.data import FaultOutcome

BEFORE = timedelta(seconds=1)
AFTER = timedelta(seconds=3)
LONGEST = timedelta(seconds=30)
"""A fault that takes longer is shown for its beginning only."""
LINE_LENGTH = 240

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ?([+-]\d\d:\d\d)?")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of one node's log around one fault; `left_out` of them, from the middle, are not shown."""

    fault: int
    title: str
    node: str
    head: tuple[str, ...]
    left_out: int
    tail: tuple[str, ...]


def excerpts(
    faults: Sequence[FaultOutcome],
    logs: Mapping[str, str],
    *,
    zero: datetime,
    most_lines: int,
    local: tzinfo = UTC,
) -> tuple[Excerpt, ...]:
    """Cut the logs (by node) around the faults.

    `zero` is the wall clock's zero of the timeline, with its zone; `local` the zone of the machine that the run was on.
    """
    found: list[Excerpt] = []
    for node, text in logs.items():
        entries = _entries(text, zero, local)
        for fault in faults:
            if fault.injected_s is None:
                continue
            begin = zero + timedelta(seconds=fault.injected_s)
            healed = zero + timedelta(seconds=fault.healed_s) if fault.healed_s is not None else begin
            end = min(healed, begin + LONGEST) + AFTER
            mine = [line for at, line in entries if begin - BEFORE <= at <= end]
            if mine:
                found.append(_excerpt(fault, node, mine, most_lines))
    return tuple(found)


def _excerpt(fault: FaultOutcome, node: str, lines: Sequence[str], most: int) -> Excerpt:
    shown = [shortened(line, LINE_LENGTH) for line in lines]
    if len(shown) <= most:
        return Excerpt(fault.fault, fault.title, node, tuple(shown), 0, ())
    half = most // 2
    return Excerpt(
        fault.fault, fault.title, node, tuple(shown[:half]), len(shown) - 2 * half, tuple(shown[len(shown) - half :])
    )


def _entries(text: str, zero: datetime, local: tzinfo) -> list[tuple[datetime, str]]:
    """Give every line its time; lines without one belong to the entry before them.

    RabbitMQ 3.8 writes no zone: its clock's zone is this machine's for a native node, UTC in a container. The one in
    which the log is nearer to the run is taken.
    """
    stamps = [match for line in text.splitlines() if (match := _STAMP.match(line))]
    zone: tzinfo = UTC
    if stamps and not stamps[-1][3]:
        zone = min((UTC, local), key=lambda each: abs(_time(stamps[-1], each) - zero))
    found: list[tuple[datetime, str]] = []
    at: datetime | None = None
    for line in text.splitlines():
        match = _STAMP.match(line)
        at = _time(match, zone) if match else at
        if at is not None and line.strip():
            found.append((at, line))
    return found


def _time(match: re.Match[str], zone: tzinfo) -> datetime:
    try:
        at = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)
