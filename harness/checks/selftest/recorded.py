"""A recorded history made in code, so that the checks can be tested on a machine without a broker.

Two publishers, three workers, a worker killed while it holds deliveries, and a broker restart in the middle.
"""

from __future__ import annotations

import numpy as np

from harness.effects import Becomes, Effects, on_node, on_process
from harness.events import (
    BrokerStarted,
    Drained,
    Event,
    FaultHealed,
    FaultInjected,
    ProcessExited,
    ProcessStarted,
    TrafficStarted,
)
from harness.history.history import History
from harness.history.read import DTYPE, Log
from harness.history.records import Flag, Kind, LogHeader
from harness.scenario.scenario import Scenario

PUBLISHERS, WORKERS, MESSAGES, PREFETCH = 2, 3, 1000, 20
MS = 1_000_000
VARIANT = "guarantee"

Row = dict[str, int]


def recorded() -> tuple[History, Scenario]:
    """Return the history and the scenario that it belongs to; the verdict on it is `as expected`."""
    scenario = Scenario.model_validate(
        {
            "name": "recorded",
            "publishers": {"count": PUBLISHERS, "messages": MESSAGES},
            "workers": {"count": WORKERS, "prefetch": PREFETCH, "work": "1ms"},
        }
    )
    logs = [_publisher(number) for number in range(1, PUBLISHERS + 1)]
    logs += _workers()
    logs.append(Log(LogHeader("collector", "collector", 0, 1, 1, ("tasks",)), np.empty(0, dtype=DTYPE)))
    return History(tuple(logs), _events()), scenario


def _log(role: str, actor: str, number: int, incarnation: int, rows: list[Row]) -> Log:
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, row in enumerate(rows):
        for name, value in row.items():
            records[name][index] = value
    return Log(LogHeader(role, actor, number, incarnation, 1, ("tasks",)), records)


def _publisher(number: int) -> Log:
    rows: list[Row] = [{"kind": Kind.CONNECTED, "at_ns": 1, "connection": 1}]
    for first in range(0, MESSAGES, 10):
        for seq in range(first, first + 10):
            rows.append(
                {
                    "kind": Kind.PUBLISHED,
                    "at_ns": (seq + 1) * MS + number,
                    "seq": seq,
                    "tag": seq + 1,
                    "publisher": number,
                    "attempt": 1,
                    "connection": 1,
                    "flags": Flag.PERSISTENT,
                }
            )
        confirmed_at = (first + 12) * MS + number
        rows.append(
            {
                "kind": Kind.CONFIRMED,
                "at_ns": confirmed_at,
                "tag": first + 1,
                "arg": 10,
                "publisher": number,
                "connection": 1,
            }
        )
    rows.append({"kind": Kind.FINISHED, "at_ns": (MESSAGES + 50) * MS, "connection": 1})
    return _log("publisher", f"publisher-{number}", number, 1, rows)


def _workers() -> list[Log]:
    """Deal messages out in turn; worker 3 dies with a full prefetch, and the others get what it held, marked as redelivered."""
    order = [(publisher, seq) for seq in range(MESSAGES) for publisher in range(1, PUBLISHERS + 1)]
    shares: dict[int, list[tuple[int, int, int]]] = {worker: [] for worker in range(1, WORKERS + 1)}
    dead_after = 100
    held: list[tuple[int, int]] = []
    for index, message in enumerate(order):
        worker = index % WORKERS + 1
        if worker == WORKERS and len(shares[worker]) >= dead_after:
            if len(held) < PREFETCH:
                held.append(message)
                continue
            worker = index % (WORKERS - 1) + 1
        shares[worker].append((*message, 0))
    for index, message in enumerate(held):
        shares[index % (WORKERS - 1) + 1].append((*message, int(Flag.REDELIVERED)))
    logs = []
    for worker, share in shares.items():
        rows: list[Row] = [
            {"kind": Kind.CONNECTED, "at_ns": 1, "connection": 1},
            {"kind": Kind.CONSUMING, "at_ns": 2, "connection": 1},
        ]
        clock = 0
        for tag, (publisher, seq, flags) in enumerate(share, start=1):
            clock = max(clock + MS, (seq + 15) * MS) + worker
            same = {"tag": tag, "publisher": publisher, "seq": seq, "attempt": 1, "connection": 1}
            rows.append({"kind": Kind.DELIVERED, "at_ns": clock, "flags": flags, **same})
            rows.append({"kind": Kind.COMPLETED, "at_ns": clock + MS // 2, **same})
            rows.append({"kind": Kind.ACKED, "at_ns": clock + MS // 2 + 1, "tag": tag, "arg": 1, "connection": 1})
        if worker == WORKERS:
            for offset, (publisher, seq) in enumerate(held, start=1):
                rows.append(
                    {
                        "kind": Kind.DELIVERED,
                        "at_ns": _KILLED_NS - 10 * MS + offset,
                        "tag": len(share) + offset,
                        "publisher": publisher,
                        "seq": seq,
                        "attempt": 1,
                        "connection": 1,
                    }
                )
        else:
            rows.append({"kind": Kind.FINISHED, "at_ns": clock + MS, "connection": 1})
        logs.append(_log("worker", f"worker-{worker}", worker, 1, rows))
    return logs


_KILLED_NS = 260 * MS
_RESTARTED_NS = 600 * MS


def _events() -> tuple[Event, ...]:
    end = 3 * MESSAGES * MS
    events: list[Event] = [
        BrokerStarted(
            at_ns=0,
            variant=VARIANT,
            backend="recorded",
            reason="made in code",
            endpoint="",
            nodes=("n1",),
            rabbitmq="4.0.5",
            erlang="27",
        ),
        TrafficStarted(at_ns=0, variant=VARIANT),
    ]
    for role, count in (("publisher", PUBLISHERS), ("worker", WORKERS)):
        for number in range(1, count + 1):
            events.append(
                ProcessStarted(
                    at_ns=0,
                    variant=VARIANT,
                    role="publisher" if role == "publisher" else "worker",
                    actor=f"{role}-{number}",
                    incarnation=1,
                    pid=number,
                )
            )
    events += [
        _injected(0, "kill", f"worker-{WORKERS}", _KILLED_NS, "process", on_process(Becomes.KILLED)),
        ProcessExited(
            at_ns=_KILLED_NS,
            variant=VARIANT,
            role="worker",
            actor=f"worker-{WORKERS}",
            incarnation=1,
            exit_code=-9,
            cause="fault",
            fault=0,
        ),
        _injected(1, "restart", "n1", _RESTARTED_NS, "broker", on_node(Becomes.STOPPED)),
        FaultHealed(at_ns=_RESTARTED_NS + 5 * MS, variant=VARIANT, fault=1, action="restart"),
        Drained(at_ns=end, variant=VARIANT, complete=True, reason="recorded"),
    ]
    return tuple(events)


def _injected(fault: int, action: str, target: str, at_ns: int, family: str, effects: Effects) -> FaultInjected:
    return FaultInjected(
        at_ns=at_ns,
        variant=VARIANT,
        fault=fault,
        action=action,
        title=f"{action} {target}",
        family=family,
        colour="#c0392b",
        targets=(target,),
        struck_at_ns=at_ns + MS,
        healable=True,
        effects=effects,
        noun=(f"{target.rpartition('-')[0] or family} {action}", ""),
    )
