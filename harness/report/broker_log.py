"""What the broker's log says around each fault, and what the broker complains of, fault or not.

The log has wall-clock times, the run's events monotonic ones. The run's start is known by both, the wall clock to the second,
so an excerpt is cut generously.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from harness.history.history import History
from harness.plain import shortened
from harness.verdict.data import FaultOutcome, RunVerdict

BEFORE = timedelta(seconds=1)
AFTER = timedelta(seconds=3)
EARLIER = timedelta(seconds=5)
"""Publishers and workers connect before the publishers are released."""
LONGEST = timedelta(seconds=30)
"""A fault that takes longer is shown for its beginning only."""
LINE_LENGTH = 240
MOST_COMPLAINTS = 60
"""Lines of warnings and errors that are shown of one node."""

_LEVEL = re.compile(r"\S+ \S+ ?(?:[+-]\d\d:\d\d)? \[(warn|warning|error|critical|alert|emergency)\]")
_TRAFFIC = re.compile(r"client-provided name: chaos-[\w-]+/")
"""What the log says when the first publisher or worker connects. Before that, the harness knocks at the port to see whether the node is up."""
_BOOT = re.compile(r"Starting RabbitMQ \d")
_NAMED = re.compile(r"client-provided name: ")
_ASKING = re.compile(r"client-provided name: chaos(?:-[\w-]+)?$")
"""What it says when the harness itself connects, to declare, ask or read: that a queue is not there is an answer then, no error."""
_PROCESS = re.compile(r"<\d+\.\d+\.\d+>")
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


@dataclass(frozen=True, slots=True)
class Complaints:
    """The warnings and errors in one node's log, from the first connection of a publisher or worker on."""

    node: str
    lines: tuple[str, ...]
    left_out: int
    """Further lines, that are not shown."""


class _Asking:
    """Knows which of the broker's processes serve the harness itself, and no publisher or worker, as its log goes on."""

    def __init__(self) -> None:
        self._processes: set[str] = set()

    def is_told_of(self, line: str) -> bool:
        """Whether a line with a time is about one of them."""
        processes = _PROCESS.findall(line)
        if _BOOT.search(line):
            self._processes.clear()  # names are given anew
        elif _NAMED.search(line):
            by = self._processes.update if _ASKING.search(line) else self._processes.difference_update
            by(processes)
        elif self._processes.intersection(processes):
            self._processes.update(processes)  # a channel tells the rest by its own name
        else:
            return False
        return True


def complaints(
    logs: Mapping[str, str], *, begin: datetime, end: datetime, local: tzinfo = UTC
) -> tuple[Complaints, ...]:
    """Return what each node complained of between two moments of the wall clock; nodes that did not are left out."""
    found = []
    for node, text in logs.items():
        entries = _entries(text, begin, local)
        first = next((place for place, (_, line) in enumerate(entries) if _TRAFFIC.search(line)), 0)
        lines: list[str] = []
        bad, asking = False, _Asking()
        for number, (at, line) in enumerate(entries):
            if _STAMP.match(line):
                bad = number >= first and begin <= at <= end and _LEVEL.match(line) is not None
                bad = not asking.is_told_of(line) and bad
            if bad:
                lines.append(shortened(line, LINE_LENGTH))
        if lines:
            found.append(Complaints(node, tuple(lines[:MOST_COMPLAINTS]), max(0, len(lines) - MOST_COMPLAINTS)))
    return tuple(found)


def complaints_by_variant(
    run: RunVerdict, histories: Mapping[str, History], logs: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[Complaints, ...]]:
    """Return what the brokers complained of while the publishers and workers of each variant were there."""
    return {
        name: complaints(
            logs.get(name, {}),
            begin=zero_of(run, histories, name) - EARLIER,
            end=zero_of(run, histories, name, at_ns=history.events[-1].at_ns) + AFTER,
            local=zero_of(run, histories, name).tzinfo or UTC,
        )
        for name, history in histories.items()
        if history.events
    }


def zero_of(run: RunVerdict, histories: Mapping[str, History], variant: str, *, at_ns: int | None = None) -> datetime:
    """Return the wall clock at the zero of a variant's timeline, or at a moment of its history; right to about a second."""
    began_ns = min((history.events[0].at_ns for history in histories.values() if history.events), default=0)
    try:
        began = datetime.fromisoformat(run.started_at)
    except ValueError:
        began = datetime.fromtimestamp(0, UTC)
    began = began if began.tzinfo is not None else began.replace(tzinfo=UTC)
    after_ns = (histories[variant].zero_ns if at_ns is None else at_ns) - began_ns
    return began + timedelta(microseconds=after_ns / 1000)


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
