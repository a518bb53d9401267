"""Virtual time, and the connections that frames travel on."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

US = 1_000
MS = 1_000_000
S = 1_000_000_000

Act = Callable[[], None]

NEVER = 1 << 62


class World:
    """A clock in nanoseconds and what is to happen; everything random comes from one seed."""

    def __init__(self, seed: object) -> None:
        self.now = 0
        self.random = Random(f"{seed}/world")
        self._heap: list[tuple[int, int, Act]] = []
        self._order = 0

    def at(self, when: int, act: Act) -> None:
        """Act at a moment, or now if it is past; what is due at the same moment happens in the order of the calls."""
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, act))

    def after(self, delay: int, act: Act) -> None:
        self.at(self.now + delay, act)

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def run(self, until: int) -> None:
        """Let happen what is due up to a moment, which it is then."""
        while self._heap and self._heap[0][0] <= until:
            when, _, act = heapq.heappop(self._heap)
            self.now = when
            act()
        self.now = max(self.now, until)

    def step(self) -> bool:
        """Let the next thing happen; False if there is none."""
        if not self._heap:
            return False
        when, _, act = heapq.heappop(self._heap)
        self.now = when
        act()
        return True


class Wire:
    """One connection: frames arrive in their order, each after a time of its own, until the connection is cut.

    When it is cut, what is under way towards a side that lives may arrive in part: a first part of it, never a later frame without an
    earlier one.
    """

    LATENCY = (20 * US, 400 * US)

    def __init__(self, world: World) -> None:
        self._world = world
        self._due = {"up": 0, "down": 0}
        self._cutoff = {"up": NEVER, "down": NEVER}
        self.open = True

    def up(self, act: Act) -> None:
        """Send towards the broker."""
        self._send("up", act)

    def down(self, act: Act) -> None:
        """Send towards the client."""
        self._send("down", act)

    def cut(self, *, client_lives: bool, broker_lives: bool) -> tuple[int, int]:
        """Cut it now; returns when the broker and when the client have noticed."""
        self.open = False
        world, now = self._world, self._world.now
        for side, lives in (("up", broker_lives), ("down", client_lives)):
            self._cutoff[side] = min(self._cutoff[side], world.between(now, now + self.LATENCY[1]) if lives else now)
        return tuple(max(now, self._cutoff[side]) + world.between(1 * US, 3 * MS) for side in ("up", "down"))  # type: ignore[return-value]

    def _send(self, side: str, act: Act) -> None:
        if not self.open:
            return
        due = max(self._due[side], self._world.now) + self._world.between(*self.LATENCY) // (
            1 + (self._due[side] > self._world.now) * 20
        )
        self._due[side] = due
        self._world.at(due, lambda: act() if due <= self._cutoff[side] else None)
