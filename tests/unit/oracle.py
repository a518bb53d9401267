"""A judge that is naive on purpose: dictionaries and loops, one record and one message at a time.

It is written from the definitions of the fates, and shares nothing with the checks but the record format. It knows stories without faults
of the broker (times without service and causes have tests of their own), with connections lost, processes killed, and any mess of ranges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from harness.events import ProcessExited
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import Flag, Kind
from harness.verdict.data import Fate

Key = tuple[int, int]
"""Publisher's number and sequence number."""

LAG_NS = 1_000_000_000
LONG_AGO = -(1 << 62)


@dataclass
class Publish:
    attempt: int
    at_ns: int
    route: str
    confirmable: bool
    confirmed: bool = False
    nacked: bool = False
    returned: bool = False

    @property
    def promised(self) -> bool:
        return not self.returned and (self.confirmed or not self.confirmable)


@dataclass
class Delivery:
    key: Key
    attempt: int
    at_ns: int
    queue: str
    session: tuple[str, int, int]
    redelivered: bool
    corrupt: bool
    completed_ns: int | None = None
    rejected: bool = False
    requeued: bool = False
    died: bool = False
    rejected_ns: int | None = None
    acked_ns: int | None = None

    @property
    def acked(self) -> bool:
        return self.acked_ns is not None

    @property
    def done(self) -> bool:
        """Whether its work was done, on the body that was published."""
        return self.completed_ns is not None and not self.corrupt

    @property
    def settled_ns(self) -> int | None:
        return min((each for each in (self.acked_ns, self.rejected_ns) if each is not None), default=None)


@dataclass
class Oracle:
    """Reads a history; `reaches` tells to which queues a route leads, each with a copy of the message."""

    history: History
    reaches: Mapping[str, Sequence[str]]
    dead_letter: Mapping[str, str] = field(default_factory=dict)
    """Queue to the queue that gets what it dead-letters; no worker consumes from these."""
    prefetch: int = 20

    def __post_init__(self) -> None:
        self.publishes: dict[Key, list[Publish]] = defaultdict(list)
        self.deliveries: list[Delivery] = []
        self.found: list[tuple[Key, int, str, bool]] = []
        self.lost_ns: dict[tuple[str, int, int], int] = {}
        self.died: set[tuple[str, int, int]] = set()
        for log in self.history.logs:
            match log.header.role:
                case "publisher":
                    self._read_publisher(log)
                case "worker":
                    self._read_worker(log)
                case "collector":
                    for row in log.records:
                        if row["kind"] == Kind.FOUND:
                            key = (int(row["publisher"]), int(row["seq"]))
                            corrupt = bool(int(row["flags"]) & Flag.CORRUPT)
                            self.found.append((key, int(row["attempt"]), log.names[row["queue"]], corrupt))
        self._died()

    def _read_publisher(self, log: Log) -> None:
        on_wire: dict[tuple[int, int], list[Publish]] = defaultdict(list)
        sent: dict[int, list[Publish]] = defaultdict(list)
        number, names = log.header.number, log.names
        for row in log.records:
            if row["kind"] == Kind.PUBLISHED:
                publish = Publish(
                    int(row["attempt"]), int(row["at_ns"]), names[row["queue"]], confirmable=bool(row["tag"])
                )
                self.publishes[number, int(row["seq"])].append(publish)
                sent[int(row["seq"])].append(publish)
                if row["tag"]:
                    on_wire[int(row["connection"]), int(row["tag"])].append(publish)
        for row in log.records:
            if row["kind"] in (Kind.CONFIRMED, Kind.NACKED):
                for tag in range(int(row["tag"]), int(row["tag"]) + int(row["arg"])):
                    for publish in on_wire.get((int(row["connection"]), tag), []):
                        if row["kind"] == Kind.CONFIRMED:
                            publish.confirmed = True
                        else:
                            publish.nacked = True
            if row["kind"] == Kind.RETURNED:
                for publish in sent[int(row["seq"])]:
                    publish.returned |= publish.attempt == row["attempt"]

    def _read_worker(self, log: Log) -> None:
        held: dict[tuple[int, int], Delivery] = {}
        actor, incarnation = log.header.actor, log.header.incarnation
        for row in log.records:
            place = (int(row["connection"]), int(row["tag"]))
            match int(row["kind"]):
                case Kind.DELIVERED:
                    flags = int(row["flags"])
                    held[place] = Delivery(
                        key=(int(row["publisher"]), int(row["seq"])),
                        attempt=int(row["attempt"]),
                        at_ns=int(row["at_ns"]),
                        queue=log.names[row["queue"]],
                        session=(actor, incarnation, place[0]),
                        redelivered=bool(flags & Flag.REDELIVERED),
                        corrupt=bool(flags & Flag.CORRUPT),
                        died=bool(flags & Flag.DEAD_LETTERED),
                        completed_ns=int(row["at_ns"]) if flags & Flag.DONE else None,
                    )
                    self.deliveries.append(held[place])
                case Kind.COMPLETED:
                    held[place].completed_ns = int(row["at_ns"])
                case Kind.REJECTED:
                    held[place].rejected = True
                    held[place].rejected_ns = int(row["at_ns"])
                    held[place].requeued = bool(int(row["flags"]) & Flag.REQUEUE)
                case Kind.CONNECTION_LOST:
                    self.lost_ns.setdefault((actor, incarnation, place[0]), int(row["at_ns"]))
        for row in log.records:
            if row["kind"] == Kind.ACKED:
                for tag in range(int(row["tag"]), int(row["tag"]) + int(row["arg"])):
                    if (int(row["connection"]), tag) in held:
                        delivery = held[int(row["connection"]), tag]
                        delivery.acked_ns = min(delivery.acked_ns or int(row["at_ns"]), int(row["at_ns"]))

    def _died(self) -> None:
        for event in self.history.events:
            if isinstance(event, ProcessExited) and event.exit_code != 0:
                for delivery in self.deliveries:
                    if (
                        delivery.session[:2] == (event.actor, event.incarnation)
                        and delivery.session not in self.lost_ns
                    ):
                        self.lost_ns[delivery.session] = event.at_ns
                        self.died.add(delivery.session)

    # What is asked.

    def was_published(self, key: Key, attempt: int) -> bool:
        return any(publish.attempt == attempt for publish in self.publishes.get(key, []))

    def real(self) -> list[Delivery]:
        return [each for each in self.deliveries if self.was_published(each.key, each.attempt)]

    def phantom(self) -> int:
        completed = [each for each in self.deliveries if each.completed_ns is not None]
        invented = sum(not self.was_published(each.key, each.attempt) for each in completed)
        return invented + sum(not self.was_published(key, attempt) for key, attempt, _, _ in self.found)

    def corrupt(self) -> int:
        seen = {each.key for each in self.real() if each.corrupt}
        return len(
            seen | {key for key, attempt, _, corrupt in self.found if corrupt and self.was_published(key, attempt)}
        )

    def copies(self) -> list[tuple[Key, str]]:
        """Every copy: a message and a queue that it was put in; no queue for one that came back, and was neither done nor found."""
        return [(key, queue) for key in self.publishes for queue in self._begins_in(key)]

    def _begins_in(self, key: Key) -> Sequence[str]:
        publishes = self.publishes[key]
        queues = self.reaches[publishes[-1].route]
        if len(queues) < 2 or not all(each.returned for each in publishes):
            return queues
        seen = [each.queue for each in self.real() if each.key == key and each.done]
        seen += [queue for found, attempt, queue, _ in self.found if found == key and self.was_published(key, attempt)]
        return [first for first in queues if any(self.came_to(key, queue, first) for queue in seen)] or [""]

    def came_to(self, key: Key, queue: str, first: str) -> bool:
        """Whether what came from, or was found in, a queue is the copy that was first put in another one."""
        return queue == first or (
            queue == self.dead_letter.get(first) and queue not in self.reaches[self.publishes[key][-1].route]
        )

    def misrouted(self) -> int:
        seen = [(each.key, each.queue) for each in self.real()]
        seen += [(key, queue) for key, attempt, queue, _ in self.found if self.was_published(key, attempt)]
        return sum(
            not any(self.came_to(key, queue, first) for first in self.reaches[self.publishes[key][-1].route])
            for key, queue in seen
        )

    def fate(self, key: Key, first: str) -> Fate:
        publishes = self.publishes[key]
        promised = any(each.promised for each in publishes)
        mine = [each for each in self.real() if each.key == key and self.came_to(key, each.queue, first)]
        left = [queue for found, attempt, queue, _ in self.found
                if found == key and self.was_published(key, attempt) and self.came_to(key, queue, first)]  # fmt: skip
        if any(each.done for each in mine):
            if promised:
                return Fate.PROCESSED
            return Fate.RESURRECTED if self._done_though_refused(key, mine) else Fate.RECOVERED
        if any(queue not in self.dead_letter.values() for queue in left):
            return Fate.STRANDED
        if left:
            return Fate.DEAD_LETTERED
        if promised:
            return Fate.DROPPED if self._rejected_for_good(mine) else Fate.LOST
        return Fate.NEVER_PROMISED

    def _done_though_refused(self, key: Key, deliveries: list[Delivery]) -> bool:
        """Whether the broker returned an attempt that was done, or nacked it, and it had one queue to go to."""
        publishes = self.publishes[key]
        one = len(self.reaches[publishes[-1].route]) == 1
        refused = {each.attempt for each in publishes if each.returned or (each.nacked and one)}
        return any(each.attempt in refused for each in deliveries if each.done)

    def _rejected_for_good(self, deliveries: list[Delivery]) -> bool:
        if not deliveries:
            return False
        last = max(deliveries, key=lambda each: each.at_ns)
        return last.rejected and not last.requeued and last.queue not in self.dead_letter

    def completions(self) -> dict[tuple[Key, str], list[Delivery]]:
        """By copy: what was completed, in the order of delivery."""
        found: dict[tuple[Key, str], list[Delivery]] = defaultdict(list)
        for key, first in self.copies():
            for each in sorted(self.real(), key=lambda each: each.at_ns):
                if each.key == key and each.done and self.came_to(key, each.queue, first):
                    found[key, first].append(each)
        return found

    def duplicates(self) -> set[tuple[Key, str]]:
        return {copy for copy, completed in self.completions().items() if len(completed) > 1}

    def unexplained(self) -> set[tuple[Key, str]]:
        """Copies of which an attempt was done, and after that delivered and done again though nothing gave it back."""
        found = set()
        for (key, first), completed in self.completions().items():
            for attempt in {each.attempt for each in completed}:
                mine = [
                    each
                    for each in sorted(self.real(), key=lambda each: each.at_ns)
                    if each.key == key and each.attempt == attempt and self.came_to(key, each.queue, first)
                ]
                done = [place for place, each in enumerate(mine) if each.done]
                for earlier, later in pairwise(done):
                    pairs = zip(mine[earlier:later], mine[earlier + 1 : later + 1], strict=True)
                    if not all(self._came_back(before, after) for before, after in pairs):
                        found.add((key, first))
            if len({each.attempt for each in completed}) > 1 and self._done_though_refused(key, completed):
                found.add((key, first))
        return found

    def _came_back(self, before: Delivery, after: Delivery) -> bool:
        if before.rejected_ns is not None and before.rejected_ns <= after.at_ns and (before.requeued or after.died):
            return True
        if before.session == after.session:  # what the end of a connection gives back comes on another one
            return False
        return self._given_up(before, after.at_ns) or self._given_up(after, before.at_ns)

    def _given_up(self, delivery: Delivery, by_ns: int) -> bool:
        """Whether the broker may have taken it back by some time, for its connection was over, and the ack had not surely come."""
        lost_ns = self.lost_ns.get(delivery.session)
        if lost_ns is None:
            return False
        mine = [each for each in self.deliveries if each.session == delivery.session]
        times = [time for each in mine for time in (each.at_ns, each.completed_ns, each.settled_ns) if time is not None]
        alive_ns = max(times) if delivery.session in self.died else lost_ns
        gone_ns = alive_ns if delivery.session in self.died else lost_ns - LAG_NS
        settled = sorted(each.settled_ns for each in mine if each.settled_ns is not None)
        made_room = min(len(mine) - self.prefetch, len(settled))
        room_ns = settled[made_room - 1] if made_room > 0 else LONG_AGO
        arrived = delivery.acked_ns is not None and (
            delivery.acked_ns < alive_ns - LAG_NS or delivery.acked_ns <= room_ns
        )
        return gone_ns <= by_ns and not arrived

    def out_of_order(self) -> int:
        count = 0
        times: dict[tuple[int, str, str], list[tuple[int, int]]] = defaultdict(list)
        for key, first in self.copies():
            done = [
                each.completed_ns
                for each in self.real()
                if each.key == key
                and self.came_to(key, each.queue, first)
                and each.done
                and each.completed_ns is not None
            ]
            if done:
                times[key[0], self.publishes[key][-1].route, first].append((key[1], min(done)))
        for completed in times.values():
            ordered = [at_ns for _, at_ns in sorted(completed)]
            count += sum(any(before > at_ns for before in ordered[:place]) for place, at_ns in enumerate(ordered))
        return count
