"""A watch on the broker: it notices a node that dies by itself."""

from __future__ import annotations

import time

from harness.broker.liveness import Liveness
from harness.broker.protocol import Broker
from harness.engine.background import Background
from harness.engine.realtime import take_realtime_priority
from harness.engine.timeline import Timeline
from harness.errors import BrokerError

EVERY_S = 1.0


class BrokerWatch:
    """Looks at the nodes every second, on a thread of its own: a broker that does not answer must not hold the run up."""

    def __init__(self, broker: Broker, timeline: Timeline) -> None:
        """`timeline` knows when a node is down because a step wants it so."""
        self._liveness = Liveness(broker)
        self._timeline = timeline
        self._last_look = time.monotonic()
        self._look: Background | None = None
        self._failure: str | None = None

    def check(self) -> None:
        """Begin a look when it is time for one. Raises BrokerError for what an earlier look found."""
        if self._timeline.broker_down:
            self._failure = None
            self._liveness.forget()
            self._last_look = time.monotonic()
            return
        if self._failure is not None:
            raise BrokerError(self._failure)
        now = time.monotonic()
        if now - self._last_look >= EVERY_S and (self._look is None or self._look.over):
            if self._look is not None:
                self._look.wait()
            self._last_look = now
            self._look = Background(self._look_at_nodes, "watch")

    def _look_at_nodes(self) -> None:
        take_realtime_priority()
        failure = self._liveness.look()
        if failure is not None and not self._timeline.broker_down:
            self._failure = failure
