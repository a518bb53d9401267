"""A publisher, as an actor in virtual time that records what the harness's publishers record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from harness.history.records import Flag, Kind
from tests.oracle.simulator.broker import Broker, Link
from tests.oracle.simulator.recorder import Recorder
from tests.oracle.simulator.truth import Copy, Instance
from tests.oracle.simulator.world import MS, US, World


@dataclass(frozen=True)
class PublisherSettings:
    messages: int
    routes: tuple[tuple[str, str, str], ...]
    """Name, exchange and routing key, in turn."""
    window: int | None
    gap_ns: int
    persistent: bool
    mandatory: bool
    again: bool
    """Whether what was never confirmed is published again."""


class Publisher:
    """One publisher, over all its incarnations."""

    def __init__(self, world: World, broker: Broker, name: str, number: int, settings: PublisherSettings) -> None:
        self.world, self.broker, self.name, self.number, self.settings = world, broker, name, number, settings
        self.incarnation = 0
        self.alive = False
        self.done = False
        self.logs: list[Recorder] = []
        self.seqs = 0
        self.attempts: dict[int, int] = {}
        self.again: deque[int] = deque()
        self.outstanding: dict[int, int] = {}
        self.link: Link | None = None
        self.connection = 0
        self.node = number - 2
        """Which node it was connected to last; the next one is tried after it."""
        self.tags = 0
        self.resting = 0
        self.settled: set[int] = set()
        self._turning = False

    # Life.

    def start(self) -> None:
        self.incarnation += 1
        self.alive = True
        names = tuple(name for name, _, _ in self.settings.routes)
        self.logs.append(Recorder(self.world, "publisher", self.name, self.number, self.incarnation, names))
        self.connection = 0
        self._connect()

    def kill(self) -> None:
        """SIGKILL: nothing more is recorded; what is not settled is known to whoever starts it again."""
        if not self.alive:
            return
        self.alive = False
        if self.link is not None:
            self.broker.drop(self.link, client_lives=False)
        unsettled = [seq for seq in sorted(self.attempts) if seq not in self.settled]
        self.again = deque(unsettled if self.settings.window is not None else ())
        self.outstanding.clear()
        self.link = None
        self.resting = 0

    @property
    def log(self) -> Recorder:
        return self.logs[-1]

    def _mine(self, act: Callable[[], None]) -> Callable[[], None]:
        """Act only if this incarnation still lives."""
        incarnation = self.incarnation

        def guarded() -> None:
            if self.alive and self.incarnation == incarnation:
                act()

        return guarded

    def _connect(self) -> None:
        self.node += 1
        link = self.broker.connect(f"{self.name}.{self.incarnation}", self.node, self._mine(self._lost))
        if link is None:
            self.world.after(20 * MS, self._mine(self._connect))
            return
        self.link = link
        self.connection += 1
        self.tags = 0
        self.log.write(Kind.CONNECTED, publisher=self.number, connection=self.connection, arg=self.settings.window or 0)
        self._schedule(0)

    def _lost(self) -> None:
        self.log.write(Kind.CONNECTION_LOST, publisher=self.number, connection=self.connection, arg=320)
        self.link = None
        if self.settings.again:
            self.again.extendleft(reversed(list(self.outstanding.values())))
        else:
            self.settled |= set(self.outstanding.values())
        self.outstanding.clear()
        self.world.after(self.world.between(1 * MS, 20 * MS), self._mine(self._connect))

    # Publishing.

    def _schedule(self, delay: int) -> None:
        if not self._turning:
            self._turning = True
            incarnation = self.incarnation

            def turn() -> None:
                self._turning = False
                if self.alive and self.incarnation == incarnation:
                    self._turn()
                elif self.alive:
                    self._schedule(0)

            self.world.after(delay, turn)

    def _turn(self) -> None:
        if self.link is None or not self.link.wire.open or self.done:
            return
        window = self.settings.window
        if window is not None and len(self.outstanding) >= window:
            return
        if self.again:
            self._publish(self.again.popleft())
        elif self.seqs < self.settings.messages:
            self.seqs += 1
            self._publish(self.seqs - 1)
        else:
            self._finish_if_done()
            return
        self._schedule(self.world.between(self.settings.gap_ns // 2, self.settings.gap_ns * 3 // 2 + 1))

    def _publish(self, seq: int) -> None:
        link, settings = self.link, self.settings
        assert link is not None
        attempt = self.attempts[seq] = self.attempts.get(seq, 0) + 1
        route = seq % len(settings.routes)
        _, exchange, key = settings.routes[route]
        tag = 0
        if settings.window is not None:
            self.tags += 1
            tag = self.tags
            self.outstanding[tag] = seq
        flags = (Flag.PERSISTENT if settings.persistent else 0) | (Flag.MANDATORY if settings.mandatory else 0)
        self.log.write(
            Kind.PUBLISHED,
            seq=seq,
            tag=tag,
            publisher=self.number,
            attempt=attempt,
            queue=route,
            connection=self.connection,
            flags=flags,
        )
        message = Instance(Copy(self.number, seq, ""), attempt, key, settings.persistent)

        def arrive() -> None:
            if exchange and exchange not in self.broker.exchanges:
                self.broker.drop(link, client_lives=True)
                return
            self.broker.publish(
                message,
                exchange,
                mandatory=settings.mandatory,
                returned=lambda: link.wire.down(self._mine(lambda: self._returned(seq, attempt))),
                settle=lambda refused: self._settle(link, tag, refused=refused),
            )

        link.wire.up(arrive)

    # At the broker: confirms of a channel go out together after a while.

    def _settle(self, link: Link, tag: int, *, refused: bool) -> None:
        if not tag or link not in self.broker.links:
            return
        if refused:
            link.wire.down(self._mine(lambda: self._settled([tag], refused=True)))
            return
        link.to_confirm.append(tag)
        if len(link.to_confirm) == 1:

            def send() -> None:
                tags, link.to_confirm = link.to_confirm, []
                if link in self.broker.links:
                    link.wire.down(self._mine(lambda: self._settled(sorted(tags), refused=False)))

            self.world.after(self.world.between(0, 500 * US), send)

    # At the publisher.

    def _returned(self, seq: int, attempt: int) -> None:
        self.log.write(
            Kind.RETURNED, seq=seq, attempt=attempt, publisher=self.number, arg=312, connection=self.connection
        )

    def _settled(self, tags: list[int], *, refused: bool) -> None:
        new = [tag for tag in tags if tag in self.outstanding]
        seqs = {tag: self.outstanding.pop(tag) for tag in new}
        while new:
            run = 1
            while run < len(new) and new[run] == new[0] + run:
                run += 1
            self.log.write(
                Kind.NACKED if refused else Kind.CONFIRMED,
                tag=new[0],
                arg=run,
                publisher=self.number,
                connection=self.connection,
            )
            new = new[run:]
        if refused and self.settings.again:
            self.resting += len(seqs)
            self.world.after(20 * MS, self._mine(lambda: self._again(list(seqs.values()))))
        else:
            self.settled |= set(seqs.values())
        self._schedule(0)

    def _again(self, seqs: list[int]) -> None:
        self.resting -= len(seqs)
        self.again.extend(seqs)
        self._schedule(0)

    def _finish_if_done(self) -> None:
        if self.outstanding or self.resting or self.again or self.done:
            return
        self.log.write(Kind.EXHAUSTED, publisher=self.number, connection=self.connection)
        self.log.write(Kind.FINISHED, publisher=self.number, connection=self.connection)
        self.done = True
        link = self.link
        if link is not None:
            link.wire.up(lambda: self.broker.leave(link))
