"""What a run's events say so far: the state behind the live display."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from harness.events import (
    Event,
    FaultHealed,
    FaultInjected,
    Phase,
    PhaseChanged,
    Progress,
    TrafficStarted,
    VariantStarted,
)

WINDOW_NS = 2_000_000_000
"""Rates are means over so long."""
MEASURABLE_NS = 300_000_000
"""A window shorter than this gives no rate worth showing."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second over the last `WINDOW_NS`."""

    published: float = 0.0
    confirmed: float = 0.0
    processed: float = 0.0


@dataclass(frozen=True, slots=True)
class VariantProgress:
    """Where a run stands. Frozen, so that a display may draw it from another thread."""

    scenario: str = ""
    variant: str = ""
    index: int = 0
    total: int = 1
    phase: Phase | None = None
    phase_began_ns: int = 0
    zero_ns: int | None = None
    """When the traffic began; None before that."""
    changed_ns: int = 0
    """When the traffic last began, or a fault last struck or healed: rates from before it foretell nothing."""
    counters: Progress | None = None
    rates: Rates = Rates()

    @property
    def left_s(self) -> float | None:
        """Seconds until everything is processed at the present rate; None where that cannot be said, or is less than one."""
        seen = self.counters
        if seen is None or seen.expected_copies is None or self.phase not in (Phase.TRAFFIC, Phase.HEAL, Phase.DRAIN):
            return None
        if self.rates.processed <= 0 or seen.at_ns - self.changed_ns < WINDOW_NS:
            return None
        left = (seen.expected_copies - seen.processed) / self.rates.processed
        return left if left >= 1 else None


class Follower:
    """Takes in events, one after the other, and keeps the standing."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.standing = VariantProgress()
        self._window: deque[Progress] = deque()

    def advance(self, event: Event) -> VariantProgress:
        """Take an event in; return the new standing."""
        match event:
            case VariantStarted():
                self._window.clear()
                self.standing = VariantProgress(event.scenario, event.variant, event.index, event.total)
            case PhaseChanged():
                self.standing = replace(self.standing, phase=event.phase, phase_began_ns=event.at_ns)
            case TrafficStarted():
                self.standing = replace(self.standing, zero_ns=event.at_ns, changed_ns=event.at_ns)
            case FaultInjected() | FaultHealed():
                self.standing = replace(self.standing, changed_ns=event.at_ns)
            case Progress():
                self.standing = replace(self.standing, counters=event, rates=self._rates(event))
            case _:
                pass
        return self.standing

    def _rates(self, newest: Progress) -> Rates:
        window = self._window
        window.append(newest)
        while len(window) > 2 and newest.at_ns - window[1].at_ns >= WINDOW_NS:
            window.popleft()
        oldest = window[0]
        span = newest.at_ns - oldest.at_ns
        if span < MEASURABLE_NS:
            return self.standing.rates
        return Rates(
            published=(newest.published - oldest.published) * 1e9 / span,
            confirmed=(newest.confirmed - oldest.confirmed) * 1e9 / span,
            processed=(newest.processed - oldest.processed) * 1e9 / span,
        )
