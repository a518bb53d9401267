"""Builds histories in memory, so that tests of the checks read as the story of a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from harness.checks.tally.lives import DeathPath
from harness.checks.tally.times import Times
from harness.effects import UNDECLARED, Effects
from harness.events import (
    BrokerStarted,
    Drained,
    ErrorObserved,
    Event,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessStarted,
    QueueFacts,
    Role,
    TrafficStarted,
)
from harness.faults.base import Fault
from harness.faults.registry import actions
from harness.faults.targets import Targeted
from harness.history.history import History
from harness.history.read import DTYPE, Log
from harness.history.records import FOREIGN, NEVER_DIED, AckMode, Death, Flag, Kind, LogHeader
from harness.history.texts import NO_TEXTS
from harness.scenario.scenario import Scenario

V = "guarantee"
MS = 1_000_000


def scenario(**changes: object) -> Scenario:
    """A scenario with one publisher and one worker, changed as told."""
    base: dict[str, object] = {"name": "test", "publishers": {"messages": 10}, "workers": {"count": 2}}
    return Scenario.model_validate(base | changes)


def noted(values: np.ndarray | Sequence[int]) -> Times:
    """Times by message, with NEVER for what has not happened."""
    at_ns = np.array(values, dtype=np.int64)
    times = Times(len(at_ns))
    times.least(slice(0, len(at_ns)), at_ns)
    return times


def a_fault(action: str, target: str, *, on_node: bool) -> Fault | None:
    """One of the harness's own faults, as a scenario would have it; None for another action."""
    kind = actions().get(action)
    if kind is None:
        return None
    if issubclass(kind, Targeted):
        role = "broker" if on_node else "publisher" if target.startswith("publisher") else "worker"
        return kind.model_validate({role: 0 if on_node else target})
    return kind.model_validate({"scale": {"to": 2}, "close": {}, "declare": {"queue": target}}.get(action, target))


def strike(
    effects: Effects,
    *targets: str,
    at_ns: int,
    struck_ns: int | None = None,
    healed_ns: int | None = None,
    fault: int = 0,
    action: str = "strike",
    **more: Any,
) -> list[Event]:
    """The events of a step with some effects: its injection, which takes a millisecond if nothing else is said, and its healing, if any."""
    injected: dict[str, Any] = {
        "title": " ".join([action, *targets]),
        "family": "any",
        "colour": "#888888",
        "struck_at_ns": at_ns + MS if struck_ns is None else struck_ns,
        "healable": True,
        "noun": (action, f"{action}s"),
    }
    events: list[Event] = [
        FaultInjected(
            at_ns=at_ns,
            variant=V,
            fault=fault,
            action=action,
            targets=targets,
            effects=effects,
            **(injected | more),
        )
    ]
    if healed_ns is not None:
        events.append(FaultHealed(at_ns=healed_ns, variant=V, fault=fault, action=action))
    return events


def queue_facts(
    name: str,
    ready: int = 0,
    unacknowledged: int = 0,
    *,
    foreign_consumers: int = 0,
    held: int = 0,
    node: str = "n1",
    identity: str = "",
) -> QueueFacts:
    """What the broker says of a queue."""
    return QueueFacts(
        name=name,
        type="classic",
        durable=True,
        arguments={},
        policy={},
        policy_name="",
        operator_policy_name="",
        consumers=foreign_consumers,
        foreign_consumers=foreign_consumers,
        ready=ready,
        unacknowledged=unacknowledged,
        held=held,
        node=node,
        state="running",
        identity=identity,
    )


@dataclass
class Story:
    """Collects records and events; every call takes the next moment of the clock (1 ms each)."""

    queues: tuple[str, ...] = ("tasks",)
    routes: tuple[str, ...] = ()
    """What publishers' logs call their routes; the queues if not given."""
    now: int = 0
    rows: dict[tuple[str, str, int, int], list[dict[str, int]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    tags: dict[tuple[str, int, int], int] = field(default_factory=dict)
    ended: bool = False

    reasons: list[str] = field(default_factory=lambda: [""])
    """What the broker said when it closed a channel, as `close_channel` was told."""
    nodes: tuple[str, ...] = ("n1",)
    rabbitmq: str = "4.0.5"
    deaths: list[Death] = field(default_factory=lambda: [NEVER_DIED])
    """How messages had died that were delivered or found, as these were told."""

    def __post_init__(self) -> None:
        self.event(
            BrokerStarted,
            backend="test",
            reason="",
            endpoint="",
            nodes=self.nodes,
            rabbitmq=self.rabbitmq,
            erlang="27",
        )
        self.event(TrafficStarted)

    def tick(self) -> int:
        self.now += MS
        return self.now

    def event(self, kind: type[Event], **fields: object) -> None:
        self.events.append(kind(at_ns=self.tick(), variant=V, **fields))

    def _add(self, role: str, number: int, incarnation: int, **row: int) -> None:
        row.setdefault("at_ns", self.tick())
        row.setdefault("connection", 1)
        self.rows.setdefault((role, f"{role}-{number}", number, incarnation), []).append(row)

    def _tag(self, role: str, number: int, incarnation: int, connection: int) -> int:
        key = (f"{role}-{number}/{incarnation}", connection, 0)
        self.tags[key] = self.tags.get(key, 0) + 1
        return self.tags[key]

    # Publishers.

    def publish(
        self,
        seq: int,
        *,
        by: int = 1,
        attempt: int = 1,
        confirms: bool = True,
        persistent: bool = True,
        mandatory: bool = False,
        connection: int = 1,
        incarnation: int = 1,
        route: int = 0,
        carried: int = 0,
    ) -> int:
        """`carried` is how many deaths of an earlier life its headers tell of."""
        tag = self._tag("publisher", by, incarnation, connection) if confirms else 0
        flags = (Flag.PERSISTENT if persistent else 0) | (Flag.MANDATORY if mandatory else 0)
        self._add(
            "publisher",
            by,
            incarnation,
            kind=Kind.PUBLISHED,
            seq=seq,
            tag=tag,
            publisher=by,
            attempt=attempt,
            connection=connection,
            flags=int(flags),
            queue=route,
            arg=carried,
        )
        return tag

    def confirm(
        self, first: int, count: int = 1, *, by: int = 1, connection: int = 1, nack: bool = False, incarnation: int = 1
    ) -> None:
        kind = Kind.NACKED if nack else Kind.CONFIRMED
        self._add("publisher", by, incarnation, kind=kind, tag=first, arg=count, publisher=by, connection=connection)

    def returned(self, seq: int, *, by: int = 1, attempt: int = 1, incarnation: int = 1) -> None:
        self._add("publisher", by, incarnation, kind=Kind.RETURNED, seq=seq, publisher=by, attempt=attempt, arg=312)

    def sent(self, seq: int, *, by: int = 1) -> None:
        """Publish and confirm."""
        self.confirm(self.publish(seq, by=by), by=by)

    # Workers.

    def deliver(
        self,
        seq: int,
        *,
        to: int = 1,
        of: int = 1,
        attempt: int = 1,
        redelivered: bool = False,
        corrupt: bool = False,
        done: bool = False,
        connection: int = 1,
        incarnation: int = 1,
        queue: int = 0,
        died: bool = False,
        count: int = 0,
        path: DeathPath = (),
    ) -> int:
        """`count` is what a quorum queue says: how often it has come back; `path` is how it had died."""
        tag = self._tag("worker", to, incarnation, connection)
        flags = (Flag.REDELIVERED if redelivered else 0) | (Flag.CORRUPT if corrupt else 0) | (Flag.DONE if done else 0)
        flags |= Flag.DEAD_LETTERED if died or path else 0
        self._add(
            "worker",
            to,
            incarnation,
            kind=Kind.DELIVERED,
            seq=seq,
            tag=tag,
            publisher=of,
            attempt=attempt,
            connection=connection,
            flags=int(flags),
            queue=queue,
            death=self._death(path),
            **({"arg": count} if count else {}),
        )
        return tag

    def complete(
        self,
        seq: int,
        tag: int,
        *,
        to: int = 1,
        of: int = 1,
        attempt: int = 1,
        connection: int = 1,
        incarnation: int = 1,
    ) -> None:
        self._add(
            "worker",
            to,
            incarnation,
            kind=Kind.COMPLETED,
            seq=seq,
            tag=tag,
            publisher=of,
            attempt=attempt,
            connection=connection,
        )

    def ack(self, tag: int, count: int = 1, *, to: int = 1, connection: int = 1, incarnation: int = 1) -> None:
        self._add("worker", to, incarnation, kind=Kind.ACKED, tag=tag, arg=count, connection=connection)

    def reject(
        self,
        seq: int,
        tag: int,
        *,
        to: int = 1,
        of: int = 1,
        requeue: bool = False,
        connection: int = 1,
        incarnation: int = 1,
    ) -> None:
        flags = int(Flag.REQUEUE) if requeue else 0
        self._add(
            "worker",
            to,
            incarnation,
            kind=Kind.REJECTED,
            seq=seq,
            tag=tag,
            publisher=of,
            attempt=1,
            flags=flags,
            connection=connection,
        )

    def process(
        self,
        seq: int,
        *,
        to: int = 1,
        of: int = 1,
        attempt: int = 1,
        redelivered: bool = False,
        incarnation: int = 1,
        queue: int = 0,
    ) -> None:
        """Deliver, complete, acknowledge."""
        tag = self.deliver(
            seq, to=to, of=of, attempt=attempt, redelivered=redelivered, incarnation=incarnation, queue=queue
        )
        self.complete(seq, tag, to=to, of=of, attempt=attempt, incarnation=incarnation)
        self.ack(tag, to=to, incarnation=incarnation)

    def consume(
        self, number: int = 1, *, prefetch: int = 0, acks: AckMode = AckMode.MANUAL, connection: int = 1, queue: int = 0
    ) -> None:
        self._add(
            "worker",
            number,
            1,
            kind=Kind.CONSUMING,
            queue=queue,
            attempt=int(acks),
            arg=prefetch,
            connection=connection,
        )

    def cancel(self, number: int = 1, *, connection: int = 1) -> None:
        self._add("worker", number, 1, kind=Kind.CANCELLED, connection=connection)

    def close_channel(self, number: int = 1, *, code: int, reason: str, connection: int = 1) -> None:
        self.reasons.append(reason)
        self._add(
            "worker", number, 1, kind=Kind.CHANNEL_CLOSED, arg=code, queue=len(self.reasons) - 1, connection=connection
        )

    def lose_connection(
        self,
        role: str,
        number: int = 1,
        *,
        connection: int = 1,
        incarnation: int = 1,
        code: int = 0,
        reason: str = "",
        kind: Kind = Kind.CONNECTION_LOST,
    ) -> None:
        self.reasons.append(reason)
        place = len(self.reasons) - 1 if reason else 0
        self._add(role, number, incarnation, kind=kind, connection=connection, arg=code, queue=place)

    def connect(self, role: str, number: int = 1, *, connection: int = 1, incarnation: int = 1) -> None:
        self._add(role, number, incarnation, kind=Kind.CONNECTED, connection=connection)

    def finish(self, role: str, number: int = 1, *, connection: int = 1, incarnation: int = 1) -> None:
        """End in order."""
        self._add(role, number, incarnation, kind=Kind.FINISHED, connection=connection)

    def _death(self, path: DeathPath, first: str = "") -> int:
        """Return the number of a way to have died, in `first` at first (the first one of the path if not given)."""
        death = Death(first or path[0][0], path) if path else NEVER_DIED
        if death not in self.deaths:
            self.deaths.append(death)
        return self.deaths.index(death)

    def find(
        self,
        seq: int,
        *,
        of: int = 1,
        queue: int = 0,
        attempt: int = 1,
        corrupt: bool = False,
        died: bool = False,
        path: DeathPath = (),
        first: str = "",
    ) -> None:
        """`path` is how it had died, in `first` at first."""
        self.rows.setdefault(("collector", "collector", 0, 1), []).append(
            {
                "at_ns": self.tick(),
                "kind": Kind.FOUND,
                "seq": seq,
                "publisher": of,
                "attempt": attempt,
                "queue": queue,
                "flags": int((Flag.CORRUPT if corrupt else 0) | (Flag.DEAD_LETTERED if died or path else 0)),
                "death": self._death(path, first),
            }
        )

    # Faults.

    def fault(
        self,
        action: str,
        target: str,
        *,
        family: str = "process",
        fault: int = 0,
        times: int = 1,
        taken: int | None = None,
        lasts_ms: int = 1,
    ) -> None:
        """One of the harness's own faults declares its effects; any other declares nothing."""
        at, made = self.tick(), a_fault(action, target, on_node=family == "broker")
        self.now += (lasts_ms - 1) * MS
        self.events += strike(
            UNDECLARED if made is None else made.effects(),
            target,
            at_ns=at,
            struck_ns=self.tick(),
            healed_ns=self.tick(),
            fault=fault,
            action=action,
            family=family,
            noun=(action, f"{action}s") if made is None else made.noun((target,)),
            times=times,
            taken=taken,
        )

    def exited(
        self,
        role: Role,
        number: int = 1,
        *,
        exit_code: int = -9,
        cause: Literal["stop", "fault", "crash", "finished", "unexpected"] = "fault",
        fault: int | None = None,
        incarnation: int = 1,
    ) -> None:
        self.event(
            ProcessExited,
            role=role,
            actor=f"{role}-{number}",
            incarnation=incarnation,
            exit_code=exit_code,
            cause=cause,
            fault=fault,
        )

    def kill_worker(self, number: int = 1, *, fault: int = 0, incarnation: int = 1) -> None:
        self.fault("kill", f"worker-{number}", fault=fault)
        self.exited("worker", number, fault=fault, incarnation=incarnation)

    def restart_broker(self, *, action: str = "restart", fault: int = 0) -> None:
        self.fault(action, "n1", family="broker", fault=fault)

    def error(self, code: int, text: str) -> None:
        self.event(ErrorObserved, code=code, text=text, where="test")

    def drained(self, *, complete: bool = True) -> None:
        self.event(Drained, complete=complete, reason="test")
        self.ended = True

    def history(self, *, end: bool = True) -> History:
        if end and not self.ended:
            self.drained()
        logs = []
        for (role, actor, number, incarnation), rows in self.rows.items():
            records = np.zeros(len(rows), dtype=DTYPE)
            for index, row in enumerate(rows):
                for name, value in row.items():
                    records[name][index] = value
            names = self.routes if role == "publisher" and self.routes else self.queues
            texts = replace(NO_TEXTS, reasons=tuple(self.reasons), deaths=tuple(self.deaths))
            logs.append(Log(LogHeader(role, actor, number, incarnation, 1, names), records, texts=texts))
            if role == "worker":
                self.events.append(
                    ProcessStarted(at_ns=0, variant=V, role="worker", actor=actor, incarnation=incarnation, pid=1)
                )
        return History(tuple(logs), tuple(sorted(self.events, key=lambda event: event.at_ns)))


__all__ = ["FOREIGN", "MS", "Story", "V", "noted", "queue_facts", "scenario", "strike"]
