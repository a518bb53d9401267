"""Whether a queue can ever have held as many messages as its limit allows."""

from __future__ import annotations

from tests.oracle.lives import Lives
from tests.oracle.reading import Delivery
from tests.oracle.topology import Topology


def never_full(queue: str, lives: Lives, topology: Topology) -> bool:
    """Whether a queue surely never held more than its limit: an upper bound of what was in it, at every moment, is not above.

    What came is counted at its publish, what left at the ack of a delivery that was the only one of its copy.
    """
    limit = topology.queues[queue].limit
    if limit is None:
        return True
    changes: list[tuple[int, int]] = []
    for life in lives.of.values():
        here = topology.by_route(life.publishes[-1].route)[0]
        if queue not in here and queue not in _below(here, life.key, topology):
            continue
        by_death = queue not in here or queue in _below(here, life.key, topology)
        changes += [
            (each.at_ns, 1) for each in life.publishes for _ in range(1 + _rounds(life.deliveries, by_death=by_death))
        ]
        if not by_death and len(life.publishes) == len(life.deliveries) == 1 and life.name.first == queue:
            (delivery,) = life.deliveries
            if delivery.acked_ns is not None:
                changes.append((delivery.acked_ns, -1))
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most <= limit


def _rounds(deliveries: list[Delivery], *, by_death: bool) -> int:
    """How often a copy may have come again, at most."""
    counts = [sum(count for _, _, count in each.death.path) for each in deliveries if each.death is not None]
    return max(counts, default=0) if by_death else 0


def _below(queues: tuple[str, ...], key: str, topology: Topology) -> set[str]:
    """The queues that messages of these come to by dying."""
    found: set[str] = set()
    waiting = [(queue, key) for queue in queues]
    while waiting:
        queue, here = waiting.pop()
        targets, new = topology.after_death(queue, here)
        waiting += [(target, new) for target in targets if target not in found]
        found |= set(targets)
    return found
