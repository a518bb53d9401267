"""Which copies a message can have, and which one a delivery is of.

The unit is a copy: a message, the queue it was first put in, and the branch taken at each death that leads into several queues. A death
with one target moves a copy on; one with several ends it and begins as many. Which copy a delivery is of follows from the queue that it
came from and from its `Death`: the queue of its first death, and the queues that it died in since.

For each route there is a finite number of kinds of copies (`Slot`): one for each queue that the route leads to, and one for each target of
a death that leads into several. A life may come round to such a death again and again; as many rounds are told apart as the logs speak of,
as long as that makes few slots (`MOST_SLOTS`). Beyond that the slots of the last round stand for what begins in further ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from harness.history.records import Death
from harness.scenario.routing import Position

MISROUTED = -1
"""Instead of a slot: no life of the message leads to that queue."""
MOST_SLOTS = 256
"""How many slots of a route begin new rounds."""


DeathPath = tuple[tuple[str, str, int], ...]
"""Queue, reason and count of each entry of x-death."""
Alternatives = tuple[tuple[Position, ...], ...]
"""Where a message can be put: by the first way, in all of its queues; another one is taken while queues of the first are away."""
NO_QUEUE: Final[tuple[Position, ...]] = ()
"""The way of a message that reaches no queue."""
Targets = Callable[[Position], Alternatives]
"""Where a death leads to; nothing where no queue gets it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One kind of copy."""

    first_queue: str
    """The queue that the message was first put in; empty for the copy of a message that reached no queue."""
    begins_in: str
    """The queue that it begins in: `first_queue`, or a target of the death that began it."""
    parent: int | None
    """The slot whose death began it; None for those that a publish begins."""


class Lives:
    """All lives that the messages of one route can have."""

    def __init__(self, first: Alternatives, targets: Targets, rounds: int = 1) -> None:
        """Walk from the queues that a route leads to along every death. Each position is looked at once in a slot, so the walk ends.

        `rounds` is how often a life may come to the same death into several queues.
        """
        self._targets, self._rounds = targets, rounds
        self.slots: list[Slot] = []
        self._next: dict[tuple[int, Position], dict[str, tuple[int, Position]]] = {}
        self._first: dict[str, tuple[int, Position]] = {}
        for position in chain.from_iterable(first):
            if position.queue not in self._first:
                self._first[position.queue] = (len(self.slots), position)
                self.slots.append(Slot(position.queue, position.queue, None))
        nowhere = () if all(first) else (len(self.slots),)
        self.slots += [Slot("", "", None) for _ in nowhere]
        self.ways = tuple(tuple(self._first[each.queue][0] for each in way) or nowhere for way in first)
        """The slots that a publish begins, by the way that it takes."""
        self.published = len(self.slots)
        """How many of the slots a publish begins; they come first."""
        self._children: dict[tuple[int, Position, tuple[str, ...]], dict[str, int]] = {}
        waiting = deque(self._first.values())
        while waiting:
            place = waiting.popleft()
            if place not in self._next:
                self._next[place] = self._deaths_from(*place)
                waiting.extend(self._next[place].values())

    def _deaths_from(self, slot: int, position: Position) -> dict[str, tuple[int, Position]]:
        found: dict[str, tuple[int, Position]] = {}
        for reached in self._targets(position):
            if len(reached) > 1:
                children = self._begun_with(slot, position, reached)
                found |= {each.queue: (children[each.queue], each) for each in reached if each.queue not in found}
            else:
                found |= {each.queue: (slot, each) for each in reached if each.queue not in found}
        return found

    def _begun_with(self, slot: int, position: Position, reached: tuple[Position, ...]) -> dict[str, int]:
        """Return by queue the slots that a death begins in several."""
        queues = tuple(each.queue for each in reached)
        children = self._branching_before(slot, position, queues)
        if children is None:
            first_queue = self.slots[slot].first_queue
            children = {queue: len(self.slots) + number for number, queue in enumerate(queues)}
            self.slots += [Slot(first_queue, queue, slot) for queue in queues]
        self._children[slot, position, queues] = children
        return children

    def _branching_before(self, slot: int, position: Position, queues: tuple[str, ...]) -> dict[str, int] | None:
        """Find the slots that this death began when a copy of the same line died there before, often enough."""
        times, latest = 0, None
        line = self.slots[slot].parent
        while line is not None:
            if (line, position, queues) in self._children:
                times += 1
                latest = latest or self._children[line, position, queues]
            line = self.slots[line].parent
        return latest if times >= self._rounds or len(self.slots) >= MOST_SLOTS else None

    @property
    def alone(self) -> bool:
        """Whether a publish puts a message in one queue at the most."""
        return all(len(way) <= 1 for way in self.ways)

    @property
    def leads_elsewhere(self) -> bool:
        """Whether a publish may put a message in other queues than usual."""
        return sum(any(self.slots[slot].begins_in for slot in way) for way in self.ways) > 1

    @property
    def branchings(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Each slot that ends in several, with those: parents before what they begin."""
        found = {(slot, tuple(children.values())) for (slot, _, _), children in self._children.items()}
        return tuple(sorted(found))

    def begun_in(self, slot: int, queue: str) -> tuple[int, ...]:
        """Return the slots that a death in a queue begins, of a copy of a slot; none where it moves the copy on."""
        found = (begun for (parent, at, _), begun in self._children.items() if (parent, at.queue) == (slot, queue))
        return tuple(next(found, {}).values())

    def begun_by(self, slot: int) -> str:
        """Return the queue where the death was that begins a slot; empty for one that a publish begins."""
        return next((place.queue for (_, place, _), begun in self._children.items() if slot in begun.values()), "")

    def line(self, slot: int) -> Iterator[int]:
        """Yield the slots whose deaths led to the beginning of a slot: its parent first."""
        parent = self.slots[slot].parent
        while parent is not None:
            yield parent
            parent = self.slots[parent].parent

    def deaths_before(self, slot: int) -> tuple[tuple[int, str], ...]:
        """Return the deaths of the line of a slot until it began, in their order: the slot that died, and in which queue."""
        lines = reversed(tuple(self.line(slot)))
        return tuple((line, place.queue) for line in lines for place in self.places(line))

    def source(self, slot: int, queue: str) -> str:
        """Return the queue where the death was that led a copy of a slot to a queue; empty where none leads there."""
        ways = ((place, way) for (_, place), targets in self._next.items() for way in targets.values())
        return next((place.queue for place, way in ways if (way[0], way[1].queue) == (slot, queue)), "")

    def slot(self, queue: str, death: Death | None = None) -> int:
        """Return the slot of what was delivered from (or found in) a queue, MISROUTED if no life leads there."""
        if death is None:
            return self._first[queue][0] if queue in self._first else MISROUTED
        place = self._first.get(death.first_queue)
        if place is None:
            return MISROUTED
        deaths = _times(death.path)
        exact = self._after(place, deaths, queue)
        if exact is not None:
            return exact[0]
        # Not all deaths are known, or not well counted: follow the latest of each queue, by the shortest ways, or just the shortest.
        way: tuple[int, Position] | None = place
        for name in (*deaths, queue):
            if way is not None and way[1].queue != name:
                way = self._way(way, name)
        way = way or self._way(place, queue)
        return MISROUTED if way is None else way[0]

    def slot_of_republished(self, queue: str, path: DeathPath, carried: int) -> int:
        """Return the slot of a delivery from a queue whose publish carried `carried` x-death entries of an earlier life.

        Only the deaths beyond those count. Some versions of RabbitMQ go on with the entries that they find, others begin anew; where neither
        fits, it came by the shortest way.
        """
        for beyond in ([path[carried:]] if len(path) > carried else []) + [path[-carried:]]:
            for first, place in self._first.items():
                died = len(path) > carried or first != queue
                found = self._after(place, _times(beyond if died else ()), queue)
                if found is not None:
                    return found[0]
        ways = (self._way(place, queue) for place in self._first.values())
        return next((way[0] for way in ways if way is not None), MISROUTED)

    def _after(self, place: tuple[int, Position], deaths: dict[str, int], queue: str) -> tuple[int, Position] | None:
        """Follow a life that died so often in each queue, and came to `queue`; None where there is no such life."""
        left = dict(deaths)
        for _ in range(sum(left.values())):
            here = place[1].queue
            if not left.get(here):
                return None
            left[here] -= 1
            ways = self._next[place]
            further = [name for name in ways if left.get(name)] if any(left.values()) else [queue]
            if not further or further[0] not in ways:
                return None
            place = ways[further[0]]
        return place if place[1].queue == queue else None

    def slot_of_dead_letter(self, queue: str) -> int:
        """Return the slot of what came to a queue by an unknown death: the last one whose line leads there."""
        found = [way[0] for place in self._first.values() if (way := self._way(place, queue)) is not None]
        return found[-1] if found else MISROUTED

    def places(self, slot: int) -> tuple[Position, ...]:
        """Return where a copy can stand, in the order of the walk."""
        return tuple(position for found, position in self._next if found == slot)

    def through(self, queue: str) -> dict[tuple[int, str], int]:
        """Return what has come to a queue by a death and, maybe, gone on: by slot and queue where it then is, the slot that it was in there."""
        found: dict[tuple[int, str], int] = {}
        by_death = {place for ways in self._next.values() for place in ways.values()}
        order = {place: number for number, place in enumerate(self._next)}
        for came in sorted((place for place in by_death if place[1].queue == queue), key=order.__getitem__):
            waiting = [came]
            while waiting:
                place = waiting.pop()
                if (place[0], place[1].queue) not in found:
                    found[place[0], place[1].queue] = came[0]
                    # What comes round again has been where it comes to before.
                    waiting += (each for each in self._next[place].values() if order[each] > order[place])
        return found

    def ends(self, slot: int, queue: str) -> tuple[Position, ...]:
        """Return where the death of a copy in a queue leads to."""
        found = [self._next[place] for place in self._next if place[0] == slot and place[1].queue == queue]
        return tuple(position for _, position in found[0].values()) if found else ()

    def _way(self, begin: tuple[int, Position], queue: str) -> tuple[int, Position] | None:
        """Follow deaths, at least one, to a queue by the shortest way."""
        seen, waiting = {begin}, deque([begin])
        while waiting:
            for name, place in self._next[waiting.popleft()].items():
                if name == queue:
                    return place
                if place not in seen:
                    seen.add(place)
                    waiting.append(place)
        return None


def _times(path: DeathPath) -> dict[str, int]:
    """Return how often a message died in each queue."""
    times: dict[str, int] = {}
    for name, _, count in path:
        times[name] = times.get(name, 0) + count
    return times
