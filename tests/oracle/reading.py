"""What the records say, one at a time: publishes, deliveries, what was found, and how each connection ended."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from harness.events import ProcessExited
from harness.history.history import History
from harness.history.read import Log
from harness.history.records import FOREIGN, OTHERS, AckMode, Death, Flag, Kind, Table

Key = tuple[int, int]
"""Publisher's number and sequence number."""
Session = tuple[str, int, int]
"""Actor, incarnation, connection."""

_PARTS = ((8, "seq", 4), (12, "tag", 4), (16, "arg", 4), (20, "publisher", 2), (22, "attempt", 2), (24, "queue", 2))


@dataclass(eq=False)
class Publish:
    key: Key
    attempt: int
    at_ns: int
    route: str
    session: Session
    tag: int
    persistent: bool
    mandatory: bool
    carried: int
    """How many x-death entries it had from the start."""
    confirmed_ns: int | None = None
    nacked: bool = False
    returned: bool = False

    @property
    def promised(self) -> bool:
        """Confirmed and not returned; or sent, where no confirms were asked for."""
        return not self.returned and (self.confirmed_ns is not None or not self.tag)


@dataclass(eq=False)
class Delivery:
    key: Key
    attempt: int
    at_ns: int
    queue: str
    session: Session
    tag: int
    mode: AckMode
    redelivered: bool
    corrupt: bool
    death: Death | None
    count: int
    """x-delivery-count."""
    completed_ns: int | None = None
    acked_ns: int | None = None
    rejected_ns: int | None = None
    requeued: bool = False
    failed_ns: int | None = None
    crashed: bool = False


@dataclass(eq=False)
class Found:
    key: Key
    attempt: int
    queue: str
    corrupt: bool
    death: Death | None


@dataclass(eq=False)
class End:
    """How a connection ended."""

    at_ns: int
    how: str
    """`lost`, `closed` (the channel, by the broker), `died`, `finished`."""
    code: int = 0
    reason: str = ""


@dataclass(eq=False)
class Consuming:
    queue: str
    session: Session
    at_ns: int
    mode: AckMode
    prefetch: int


@dataclass
class Tables:
    """A log's tables, as far as they are defined."""

    names: dict[int, str]
    deaths: dict[int, Death] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


def tables(log: Log) -> Tables:
    """Read the texts of a log from its records."""
    found = Tables(dict(enumerate(log.header.names)))
    rows = log.records
    if not any(rows["kind"] == Kind.DEFINED):  # a log that was made by hand
        found.names |= dict(enumerate(log.names))
        found.deaths |= {index: death for index, death in enumerate(log.deaths) if index}
        found.reasons |= dict(enumerate(log.reasons))
    for place, row in enumerate(rows):
        if row["kind"] != Kind.DEFINED:
            continue
        data = b""
        following = place + 1
        while len(data) < row["arg"] and following < len(rows) and rows[following]["kind"] == Kind.TEXT:
            data += _text(rows[following])
            following += 1
        text = data[: row["arg"]].decode()
        index = int(row["tag"])
        match int(row["queue"]):
            case Table.NAMES:
                found.names[index] = text
            case Table.DEATHS:
                if text != OTHERS:
                    first, path = json.loads(text)
                    found.deaths[index] = Death(first, tuple((queue, reason, count) for queue, reason, count in path))
            case Table.REASONS:
                found.reasons[index] = text
    return found


def _text(row: Any) -> bytes:
    raw: bytes = row.tobytes()
    return raw[8:31]


class Records:
    """All that a history's logs say."""

    def __init__(self, history: History) -> None:
        self.publishes: dict[Key, list[Publish]] = defaultdict(list)
        self.deliveries: list[Delivery] = []
        self.found: list[Found] = []
        self.ends: dict[Session, End] = {}
        self.consuming: list[Consuming] = []
        self.cancelled: list[tuple[str, Session, int]] = []
        self.numbers = {log.header.actor: log.header.number for log in history.of_role("publisher")}
        """Of publishers, by name."""
        self.last_ns = max([event.at_ns for event in history.events] or [0])
        for log in history.logs:
            if log.header.role == "publisher":
                self._publisher(log)
            elif log.header.role == "worker":
                self._worker(log)
            else:
                self._collector(log)
        self._exits(history)

    def _publisher(self, log: Log) -> None:
        number, texts = log.header.number, tables(log)
        by_tag: dict[tuple[int, int], list[Publish]] = defaultdict(list)
        rows = log.records
        for row in rows:
            session = self._session(log, row)
            if row["kind"] == Kind.PUBLISHED:
                flags = int(row["flags"])
                publish = Publish(
                    (number, int(row["seq"])),
                    int(row["attempt"]),
                    int(row["at_ns"]),
                    texts.names[int(row["queue"])],
                    session,
                    int(row["tag"]),
                    persistent=bool(flags & Flag.PERSISTENT),
                    mandatory=bool(flags & Flag.MANDATORY),
                    carried=int(row["arg"]),
                )
                self.publishes[publish.key].append(publish)
                if publish.tag:
                    by_tag[session[2], publish.tag].append(publish)
            else:
                self._ended(session, row, texts.reasons)
        for row in rows:
            if row["kind"] in (Kind.CONFIRMED, Kind.NACKED):
                for tag in range(int(row["tag"]), int(row["tag"]) + int(row["arg"])):
                    for publish in by_tag.get((int(row["connection"]), tag), []):
                        if row["kind"] == Kind.NACKED:
                            publish.nacked = True
                        elif publish.confirmed_ns is None:
                            publish.confirmed_ns = int(row["at_ns"])
            if row["kind"] == Kind.RETURNED:
                for publish in self.publishes.get((int(row["publisher"]), int(row["seq"])), []):
                    publish.returned |= publish.attempt == int(row["attempt"])

    def _worker(self, log: Log) -> None:
        texts = tables(log)
        held: dict[tuple[int, int], Delivery] = {}
        modes: dict[int, AckMode] = {}
        for row in log.records:
            session = self._session(log, row)
            place = (session[2], int(row["tag"]))
            at_ns = int(row["at_ns"])
            match int(row["kind"]):
                case Kind.CONSUMING:
                    mode = AckMode(int(row["attempt"]))
                    modes[session[2]] = mode
                    queue = texts.names[int(row["queue"])]
                    self.consuming.append(Consuming(queue, session, at_ns, mode, int(row["arg"])))
                case Kind.DELIVERED:
                    held[place] = self._delivery(row, session, texts, modes.get(session[2], AckMode.UNKNOWN))
                    self.deliveries.append(held[place])
                case Kind.COMPLETED if place in held:
                    held[place].completed_ns = at_ns
                case Kind.REJECTED if place in held:
                    held[place].rejected_ns = at_ns
                    held[place].requeued = bool(int(row["flags"]) & Flag.REQUEUE)
                case Kind.FAILED if place in held:
                    held[place].failed_ns = at_ns
                case Kind.CRASHING if place in held:
                    held[place].crashed = True
                case Kind.CANCELLED:
                    self.cancelled.append((texts.names[int(row["queue"])], session, at_ns))
                case _:
                    self._ended(session, row, texts.reasons)
        for row in log.records:
            if row["kind"] == Kind.ACKED:
                for tag in range(int(row["tag"]), int(row["tag"]) + int(row["arg"])):
                    acked = held.get((int(row["connection"]), tag))
                    if acked is not None and acked.acked_ns is None:
                        acked.acked_ns = int(row["at_ns"])

    @staticmethod
    def _delivery(row: Any, session: Session, texts: Tables, mode: AckMode) -> Delivery:
        flags, at_ns = int(row["flags"]), int(row["at_ns"])
        return Delivery(
            (int(row["publisher"]), int(row["seq"])),
            int(row["attempt"]),
            at_ns,
            texts.names[int(row["queue"])],
            session,
            int(row["tag"]),
            mode,
            redelivered=bool(flags & Flag.REDELIVERED),
            corrupt=bool(flags & Flag.CORRUPT),
            death=texts.deaths.get(int(row["death"])),
            count=int(row["arg"]),
            completed_ns=at_ns if flags & Flag.DONE else None,
        )

    def _collector(self, log: Log) -> None:
        texts = tables(log)
        for row in log.records:
            if row["kind"] == Kind.FOUND:
                key = (int(row["publisher"]), int(row["seq"]))
                corrupt = bool(int(row["flags"]) & Flag.CORRUPT)
                death = texts.deaths.get(int(row["death"]))
                self.found.append(Found(key, int(row["attempt"]), texts.names[int(row["queue"])], corrupt, death))

    @staticmethod
    def _session(log: Log, row: Any) -> Session:
        return log.header.actor, log.header.incarnation, int(row["connection"])

    def _ended(self, session: Session, row: Any, reasons: dict[int, str]) -> None:
        kinds = {Kind.CONNECTION_LOST: "lost", Kind.CHANNEL_CLOSED: "closed", Kind.FINISHED: "finished"}
        how = kinds.get(Kind(int(row["kind"])))
        if how is None or session in self.ends:
            return
        reason = reasons.get(int(row["queue"]), "") if how != "finished" else ""
        self.ends[session] = End(int(row["at_ns"]), how, int(row["arg"]), reason)

    def _exits(self, history: History) -> None:
        sessions = {each.session for each in self.deliveries} | {each.session for each in self.consuming}
        sessions |= {publish.session for each in self.publishes.values() for publish in each}
        for event in history.events:
            if isinstance(event, ProcessExited):
                for session in sessions:
                    if session[:2] == (event.actor, event.incarnation) and session not in self.ends:
                        how = "finished" if event.exit_code == 0 else "died"
                        self.ends[session] = End(event.at_ns, how)

    def known(self, key: Key, attempt: int) -> bool:
        """Whether this run published that."""
        return any(publish.attempt == attempt for publish in self.publishes.get(key, []))


__all__ = ["FOREIGN", "Consuming", "Delivery", "End", "Found", "Key", "Publish", "Records", "Session"]
