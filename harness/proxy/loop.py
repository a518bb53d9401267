"""One thread's loop over sockets and timers, on epoll."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable
from itertools import count

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLERR
"""Reported whether it was asked for or not, as long as anything is."""

OnEvents = Callable[[int], None]
"""Called with what has happened to a file descriptor: READABLE, WRITABLE, BROKEN, or several of them."""


class Timer:
    """A call that is due later."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Prepare it; the loop calls it."""
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call it; no error when it has been called."""
        self._callback = None

    def fire(self) -> None:
        """Call it now, unless it was called or cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Loop:
    """Calls back what happens to sockets, and what is due."""

    def __init__(self) -> None:
        """Prepare; `run` begins."""
        self._epoll = select.epoll()
        self._callbacks: dict[int, OnEvents] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._running = False

    def watch(self, descriptor: int, events: int, callback: OnEvents) -> None:
        """Call back whenever one of some events is there, from now on; also instead of what was asked before."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Watch a descriptor no more: to be called before it is closed. No error for one that is not watched."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back after a number of seconds."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def run(self) -> None:
        """Go on until `stop` is called."""
        self._running = True
        while self._running:
            for descriptor, events in self._epoll.poll(self._rest_s()):
                callback = self._callbacks.get(descriptor)
                if callback is not None:  # else an earlier callback of this turn has closed it
                    callback(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2].fire()

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._running = False

    def close(self) -> None:
        """Release the descriptor."""
        self._epoll.close()

    def _rest_s(self) -> float | None:
        """How long to wait for sockets at most; None without timers."""
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
