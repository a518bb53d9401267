"""When a publisher may send: as fast as it can, at a rate that shifts after a pause, or by a schedule that it catches up with."""

from __future__ import annotations

from typing import Final, Protocol

from harness.traffic.spec import PublisherSpec

CATCH_UP_S: Final = 0.25
"""How much of a pause a rate without a schedule makes up for; what a longer one (a lost connection) has cost stays unsent for good."""


class Pace(Protocol):
    """Says how many messages a publisher may send now. Times are those of time.monotonic_ns."""

    def begin(self, now_ns: int, /) -> None:
        """Note that the publisher was released."""

    def allowance(self, now_ns: int, most: int, next_seq: int, again: int, /) -> tuple[int, float]:
        """Return how many may be sent now, at most `most` (above 0), and how many seconds to wait for the next turn.

        `next_seq` is the next message that was never sent; `again` messages are to be sent again before it.
        """


def pace(spec: PublisherSpec) -> Pace:
    """Return the pace that a spec asks for."""
    if spec.rate_per_s is None:
        return Unpaced()
    return Schedule(spec.rate_per_s, spec.origin_ns) if spec.catch_up else ShiftingRate(spec.rate_per_s)


class Unpaced:
    """As fast as the broker takes them."""

    def begin(self, _now_ns: int, /) -> None:
        """Do nothing."""

    def allowance(self, _now_ns: int, most: int, _next_seq: int, _again: int, /) -> tuple[int, float]:
        """Allow all."""
        return most, 0.0


class ShiftingRate:
    """An upper bound on all that is sent, what is sent again included: after a pause the schedule shifts."""

    def __init__(self, rate_per_s: float) -> None:
        """Begin with nothing due."""
        self._rate_per_s = rate_per_s
        self._next_due_s = 0.0

    def begin(self, now_ns: int, /) -> None:
        """Let the first one be due."""
        self._next_due_s = now_ns / 1e9

    def allowance(self, now_ns: int, most: int, _next_seq: int, _again: int, /) -> tuple[int, float]:
        """Allow what has come due, but for what came due in a pause."""
        now_s = now_ns / 1e9
        self._next_due_s = max(self._next_due_s, now_s - CATCH_UP_S)
        due = int((now_s - self._next_due_s) * self._rate_per_s) + 1 if now_s >= self._next_due_s else 0
        allowed = min(most, due)
        self._next_due_s += allowed / self._rate_per_s
        return allowed, max(0.0, self._next_due_s - now_s)


class Schedule:
    """Message N is due N / rate after the first one, whenever it can be sent; what is sent again is not held back."""

    def __init__(self, rate_per_s: float, origin_ns: int | None) -> None:
        """`origin_ns` is when message 0 was sent; None if it never was."""
        self._per_ns = rate_per_s / 1e9
        self._origin_ns = origin_ns

    def begin(self, _now_ns: int, /) -> None:
        """Do nothing: the schedule begins with its first message."""

    def allowance(self, now_ns: int, most: int, next_seq: int, again: int, /) -> tuple[int, float]:
        """Allow all that is due and was not sent, however long ago that was."""
        if self._origin_ns is None:
            self._origin_ns = now_ns - round(next_seq / self._per_ns)
        since_ns = now_ns - self._origin_ns
        due = max(0, int(since_ns * self._per_ns) + 1 - next_seq)
        allowed = min(most, again + due)
        if allowed < again:
            return allowed, 0.0
        new = next_seq + allowed - again
        return allowed, max(0.0, (new / self._per_ns - since_ns) / 1e9)
