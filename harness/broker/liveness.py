"""Whether nodes live: one is dead when its process is seen to be gone, or when several looks in a row had no answer."""

from __future__ import annotations

from typing import Final

from harness.broker.protocol import Broker
from harness.errors import BrokerError

SILENT_LOOKS: Final = 5
"""So many looks in a row without an answer count as an end; fewer are a node, or an engine, that is busy."""


class Liveness:
    """Looks at the nodes of a broker, and remembers how often each was silent."""

    def __init__(self, broker: Broker) -> None:
        """Prepare; nothing is looked at."""
        self._broker = broker
        self._silent: dict[int, int] = {}

    def look(self) -> str | None:
        """Look at every node once; returns a sentence for one that is dead, None if none is."""
        for index, name in enumerate(self._broker.nodes):
            try:
                alive = self._broker.alive(index)
            except BrokerError as error:
                silent = self._silent[index] = self._silent.get(index, 0) + 1
                if silent >= SILENT_LOOKS:
                    return f"{error}; {silent} looks in a row at node {name} had no answer"
                continue
            self._silent.pop(index, None)
            if not alive:
                return f"node {name} died, and no step had asked for it; see its log in the run's directory"
        return None

    def forget(self) -> None:
        """Begin anew: what was silent may have had its reason."""
        self._silent.clear()
