"""The liar: one process between all clients of a run and their broker: `python -m harness.lies.liar`.

Its task is a JSON object: the run's token, the publishers' names, the queues that messages go to together, the orders, and
the file that says afterwards what was told. See
harness.proxy.control for the rest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.lies.cases import Case, Consumer, Wanted
from harness.lies.kinds.base import Lie
from harness.lies.registry import lies
from harness.lies.session import Session
from harness.lies.told import Order, Told, write_told
from harness.proxy.control import Commanded
from harness.proxy.link import Link
from harness.proxy.loop import Loop, Timer
from harness.proxy.proxy import Proxy


class Liar:
    """Tells what was ordered; everything else passes."""

    def __init__(
        self,
        loop: Loop,
        *,
        token: str,
        publishers: Sequence[str],
        together: Sequence[Sequence[str]],
        orders: Sequence[Order],
        told: Path,
    ) -> None:
        """Prepare. `together` are the queues that messages go to together; `told` is the file that says what was told."""
        self.token = token
        self._loop = loop
        self._publishers = frozenset(publishers)
        self._siblings = {queue: frozenset(queues) - {queue} for queues in together for queue in queues}
        self._told = told
        self._known = lies()
        self._orders = dict(enumerate(orders))
        """Those that are not done, by their place."""
        self._victims: set[tuple[int, int]] = set()
        self._sessions: list[Session] = []
        self._left: set[str] = set()
        self._timers: list[Timer] = []
        self._at_the_drain: list[Callable[[], None]] = []
        self._draining = False

    # For sessions.

    def consider(self, case: Case) -> bool:
        """Tell a lie of a message, if there is an order that it suits."""
        who = case.who
        if who is None or (who.publisher, who.seq) in self._victims:
            return False
        for place, order in self._orders.items():
            if order.publisher != who.publisher or not order.first <= who.seq <= order.last:
                continue
            lie = self._known[order.lie]
            if type(case) is lie.point and case.queue in ("", order.queue) and lie.suits(case):
                del self._orders[place]
                self._victims.add((who.publisher, who.seq))
                self._tell(lie, case, order, place)
                return True
        return False

    def _tell(self, lie: Lie[Case], case: Case, order: Order, place: int) -> None:
        at_ns = time.monotonic_ns()
        about = lie.tell(case)
        publisher, seq, attempt = (about.publisher, about.seq, about.attempt) if about is not None else (0, 0, 0)
        write_told(
            self._told,
            Told(lie.name, at_ns, publisher, seq, attempt, order.queue, case.session.name, place),
        )

    def opened(self, session: Session) -> None:
        """Take notice of a connection."""
        self._sessions.append(session)

    def closed(self, session: Session) -> None:
        """Take notice of its end."""
        self._sessions.remove(session)

    def left(self, session: Session) -> None:
        """Take notice of a client that closes its connection in order; once every publisher has, the drain begins."""
        self._left.add(session.name)
        if self._publishers <= self._left and not self._draining:
            self._draining = True
            timers, self._timers = self._timers, []
            for timer in timers:  # what they ask for meanwhile is due when they say
                timer.fire()
            for callback in self._at_the_drain:
                callback()

    # For lies.

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back; see cases.Liar."""
        self._timers.append(self._loop.call_later(seconds, callback))

    def siblings(self, queue: str) -> frozenset[str]:
        """Return the queue's siblings; see cases.Liar."""
        return self._siblings.get(queue, frozenset())

    def at_the_drain(self, callback: Callable[[], None]) -> None:
        """Call back; see cases.Liar."""
        self._at_the_drain.append(callback)

    def consumers(self, wanted: Wanted) -> list[tuple[Session, int, Consumer]]:
        """Return consumers; see cases.Liar."""
        return [
            (session, channel, consumer)
            for session in self._sessions
            for channel, consumer in session.consumers()
            if wanted(session, consumer)
        ]


def main() -> int:
    """Serve until standard input ends; returns the exit code."""
    commanded = Commanded()
    task, loop = commanded.task, Loop()
    orders = [Order(**order) for order in task["orders"]]
    liar = Liar(
        loop,
        token=task["token"],
        publishers=task["publishers"],
        together=task["together"],
        orders=orders,
        told=Path(task["told"]),
    )

    def converse(name: str, link: Link) -> Session:
        return Session(name, link, liar)

    commanded.serve(loop, Proxy(loop, converse))
    return 0


if __name__ == "__main__":
    sys.exit(main())
