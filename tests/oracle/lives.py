"""Which copy a delivery is, and all copies that there are with what is known of each.

The rule: "A copy is (message, the queue it was first put in, and the branch taken at each dead-lettering that leads into several
queues). A death with n matching targets ends one copy and begins n."
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from harness.history.records import Death
from tests.oracle.reading import Delivery, Found, Key, Publish, Records
from tests.oracle.topology import Topology

Path = tuple[tuple[str, str, int], ...]
"""Queue, reason and count of deaths, as x-death has them."""
MOST_WALKS = 200
"""How many ways through the queues are looked at before one of them is taken."""


class Name(NamedTuple):
    """Names a copy."""

    key: Key
    first: str
    """Empty where the message reached no queue."""
    branches: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.key[0]}#{self.key[1]} in {' > '.join((self.first or 'no queue', *self.branches))}"


class Fork(NamedTuple):
    """A death that led to several queues: how many branches were taken before, and where it led."""

    depth: int
    targets: tuple[str, ...]


class Walk(NamedTuple):
    """A way of a message through queues."""

    branches: tuple[str, ...]
    forks: tuple[Fork, ...]
    key: str
    """The routing key at the end."""
    visits: tuple[str, ...]
    """The queues that it died in, in order."""


@dataclass(eq=False)
class Life:
    """A copy, with what the records say of it."""

    name: Name
    publishes: list[Publish]
    deliveries: list[Delivery] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    ended: bool = False
    """It died and led to several queues, each with a copy of its own."""
    key: str = ""
    """The routing key that it has, as far as is known."""
    from_queue: str = ""
    """The queue in which the branch began, or its first queue."""

    @property
    def seen(self) -> list[Delivery | Found]:
        return [*self.deliveries, *self.found]


def refused(life: Life, attempt: int, topology: Topology) -> bool:
    """Whether the broker said of an attempt that it has not taken it, and nothing else can have been meant.

    The rule: "returned, or nacked where it went to one queue only and no queue refused or changed its leader".
    """
    mine = [each for each in life.publishes if each.attempt == attempt]
    if all(each.returned for each in mine):
        return True
    queues, _ = topology.by_route(life.publishes[-1].route)
    may_refuse = any(topology.queues[queue].overflow != "drop-head" for queue in queues)
    return all(each.returned or each.nacked for each in mine) and len(queues) == 1 and not may_refuse


class Lives:
    """All copies of a run."""

    def __init__(self, records: Records, topology: Topology) -> None:
        self.records, self.topology = records, topology
        self.of: dict[Name, Life] = {}
        self.misrouted: set[tuple[Key, str]] = set()
        """Messages with a queue that they cannot have come to."""
        self.phantoms: list[Delivery | Found] = []
        self._walk = cache(self._find_walk)
        for key in records.publishes:
            self._begin(key)
        for delivery in records.deliveries:
            self._sort(delivery)
        for found in records.found:
            self._sort(found)
        self._rejected_into_several()

    def _begin(self, key: Key) -> None:
        publishes = self.records.publishes[key]
        queues, routing_key = self.topology.by_route(publishes[-1].route)
        if all(each.returned for each in publishes):
            queues = ()
        for queue in queues or ("",):
            life = self._life(Name(key, queue))
            life.key, life.from_queue = routing_key, queue

    def _life(self, name: Name) -> Life:
        if name not in self.of:
            self.of[name] = Life(name, self.records.publishes[name.key])
        return self.of[name]

    def _sort(self, seen: Delivery | Found) -> None:
        """Join a delivery, or what was found, to its copy."""
        if not self.records.known(seen.key, seen.attempt):
            self.phantoms.append(seen)
            return
        publishes = self.records.publishes[seen.key]
        queues, routing_key = self.topology.by_route(publishes[-1].route)
        carried = next(each.carried for each in publishes if each.attempt == seen.attempt)
        if carried:
            first, walk = self._onward(queues, routing_key, seen, carried)
        else:
            first = seen.death.first_queue if seen.death is not None and seen.death.path else seen.queue
            path = seen.death.path if seen.death is not None else ()
            walk = self._walk(first, routing_key, path, seen.queue) if first in queues else None
        if walk is None:
            self.misrouted.add((seen.key, seen.queue))
            return
        trunk: list[str] = []
        for fork, branch in zip(walk.forks, walk.branches, strict=True):
            parent = self._life(Name(seen.key, first, tuple(trunk)))
            parent.ended = True
            for target in fork.targets:
                child = self._life(Name(seen.key, first, (*trunk, target)))
                child.from_queue, child.key = child.from_queue or target, child.key or walk.key
            trunk.append(branch)
        life = self._life(Name(seen.key, first, walk.branches))
        life.from_queue = life.from_queue or seen.queue
        life.key = walk.key
        if isinstance(seen, Delivery):
            life.deliveries.append(seen)
        else:
            life.found.append(seen)

    def _onward(
        self, queues: tuple[str, ...], key: str, seen: Delivery | Found, carried: int
    ) -> tuple[str, Walk | None]:
        """How a message came here that was published with deaths of another one.

        The rule: x-death is "believed only beyond those that the publish itself carried". Some versions go on with what they find, others
        begin anew: without entries beyond, the message has not died if it is in one of its first queues; else the shortest way is taken.
        """
        path = seen.death.path if seen.death is not None else ()
        for beyond in ((path[carried:],) if len(path) > carried else ()) + (path[-carried:],):
            for first in queues:
                died = len(path) > carried or first != seen.queue
                walk = self._walk(first, key, beyond if died else (), seen.queue)
                if walk is not None:
                    return first, walk
        for first in queues:
            if (walk := self._shortest(first, key, seen.queue)) is not None:
                return first, walk
        return "", None

    def _shortest(self, first: str, key: str, goal: str) -> Walk | None:
        """The way with the fewest deaths."""
        waiting = [(first, Walk((), (), key, ()))]
        while waiting:
            here, walk = waiting.pop(0)
            if here == goal:
                return walk
            targets, new = self.topology.after_death(here, walk.key)
            for target in targets if here not in walk.visits else ():
                forks, branches = walk.forks, walk.branches
                if len(targets) > 1:
                    forks, branches = (*forks, Fork(len(branches), targets)), (*branches, target)
                waiting.append((target, Walk(branches, forks, new, (*walk.visits, here))))
        return None

    def _find_walk(self, first: str, key: str, path: Path, goal: str) -> Walk | None:
        walks: list[Walk] = []
        for walk in self._walks(first, key, _visits(path), goal):
            if _latest(walk.visits) == _order(path):
                return walk
            walks.append(walk)
            if len(walks) >= MOST_WALKS:
                break
        return walks[0] if walks else None

    def _walks(self, here: str, key: str, left: Counter[str], goal: str) -> Iterator[Walk]:
        """All ways from a queue that die in each queue as often as the x-death entries say, and end in the goal."""
        if not any(left.values()):
            if here == goal:
                yield Walk((), (), key, ())
            return
        if left[here] <= 0:
            return
        left = left - Counter({here: 1})
        targets, new = self.topology.after_death(here, key)
        for target in targets:
            for rest in self._walks(target, new, left, goal):
                if len(targets) > 1:
                    deeper = tuple(Fork(fork.depth + 1, fork.targets) for fork in rest.forks)
                    yield Walk((target, *rest.branches), (Fork(0, targets), *deeper), rest.key, (here, *rest.visits))
                else:
                    yield Walk(rest.branches, rest.forks, rest.key, (here, *rest.visits))

    def _rejected_into_several(self) -> None:
        """A copy whose last record is its rejection died: where that leads to several queues, copies of their own began."""
        for life in list(self.of.values()):
            if life.ended or life.found or not life.deliveries:
                continue
            last = max(life.deliveries, key=lambda each: each.at_ns)
            if last.rejected_ns is None or last.requeued:
                continue
            targets, key = self.topology.after_death(last.queue, life.key)
            exchange, _ = self.topology.queues[last.queue].dead_letters or ("", None)
            if len(targets) > 1 and not self.topology.passed(exchange, last.rejected_ns):
                life.ended = True
                for target in targets:
                    child = self._life(Name(life.name.key, life.name.first, (*life.name.branches, target)))
                    child.from_queue, child.key = target, key


def _visits(path: Path) -> Counter[str]:
    """How often a message died in each queue, whatever the reason."""
    visits: Counter[str] = Counter()
    for queue, _, count in path:
        visits[queue] += count
    return visits


def _order(path: Path) -> tuple[str, ...]:
    """The queues in the order of the last death in each."""
    return _latest(tuple(queue for queue, _, _ in path))


def _latest(visits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(reversed(tuple(dict.fromkeys(reversed(visits)))))


def died_by(death: Death | None) -> frozenset[str]:
    """The reasons of a message's deaths."""
    return frozenset(reason for _, reason, _ in death.path) if death is not None else frozenset()
