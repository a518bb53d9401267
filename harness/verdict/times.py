"""Figures of time: latencies, times without service, and how a schedule of publishing was kept. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without service: publishers waited for confirms and none came, or work waited and no worker was at work."""

    who: str
    """`publishers` or `workers`."""
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A stretch of time."""

    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class BrokerDown:
    """For how long no node of the broker answered, as faults had taken all of them down or frozen them."""

    total_s: float
    longest_s: float
    times: tuple[TimeSpan, ...]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A latency's distribution, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class LatencyStep:
    """A latency's distribution over the messages that were published, or due, in one step of time."""

    begin_s: float
    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class LatencyDetail:
    """A latency taken apart: by whether a fault was acting while a message waited, and by when it was published, or due."""

    during_faults: Percentiles | None
    outside_faults: Percentiles | None
    step_s: float
    steps: tuple[LatencyStep, ...]
    """Steps in which nothing was published that had both ends are left out."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How publishers kept to their rates: message N of each is due N / rate after its first one. Messages, of publishers with a rate only."""

    sent: int
    late: int
    """Sent more than `tolerance_s` after they were due."""
    most_late_s: float
    """From when one was due until it was sent, at the most."""
    tolerance_s: float
    never_sent: int | None
    """Of the messages that the publishers had to send or, where they go by time, that were due well before its end; None where that is not known."""
