"""Which dead letters their queue holds: it dead-letters at least once, and the target has not confirmed them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.checks.rules.counted import left_since
from harness.checks.rules.taken import Reason
from harness.checks.tally.message_table import MessageTable


class Held:
    """Gives out what the queues of a run held after the drain: no more messages than the broker says."""

    def __init__(self, tally: MessageTable) -> None:
        """Nothing is given out yet."""
        self._tally, self._topology = tally, tally.topology
        self._messages: dict[str, set[int]] = {}
        """By queue, those that are taken for held."""

    def among(self, copies: NDArray[np.int64], queue: str, at_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of some copies that died in a queue it holds: those that died last (`at_ns`)."""
        topology, held = self._topology, np.zeros(len(copies), dtype=bool)
        if not topology.policy(queue).dead_letters_at_least_once or not topology.held(queue):
            return held
        most = topology.held(queue) + left_since(topology.facts[queue], self._tally)
        messages = self._messages.setdefault(queue, set())
        latest = np.argsort(-at_ns, kind="stable")
        for place, message in zip(latest.tolist(), self._tally.message(copies[latest]).tolist(), strict=True):
            held[place] = message in messages or len(messages) < most
            if held[place]:
                messages.add(message)
        return held

    def reason(self, queue: str, *, goes: bool) -> Reason:
        """Return why a queue holds them; `goes` tells whether its target is there."""
        refuses = self._topology.refuses_dead_letters_of(queue)
        return Reason.HELD if refuses or not goes else Reason.UNCONFIRMED
