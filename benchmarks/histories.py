"""Recorded histories of any size, made without a broker: the files that the processes of a run would leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from harness.effects import Becomes, on_process
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
from harness.faults.registry import actions
from harness.history.events_io import EVENTS_FILE, FIRST_LINE, to_line
from harness.history.history import LOGS_FOLDER
from harness.history.read import DTYPE
from harness.history.records import HEADER_BYTES, Kind, LogHeader
from harness.scenario.scenario import GUARANTEE, Scenario, scenario_model

PUBLISHERS, WORKERS = 2, 4
STEP_NS = 200_000
"""Between two publishes of one publisher."""
HELD = 5000
"""Deliveries that the killed worker had not completed; they are lost."""
_BEHIND = 10
"""How many sequence numbers the workers are behind the publishers, at most."""
_CHUNK = 1 << 18
"""Sequence numbers of each publisher that are made at a time."""


def make(folder: Path, messages: int) -> None:
    """Write logs and events: messages go to workers with automatic acks, one of which is killed after two fifths of the time.

    Another one is paused after four fifths. Both steps go by progress. Each message leaves four records: published, confirmed,
    delivered, completed.
    """
    (folder / LOGS_FOLDER).mkdir(parents=True)
    each = messages // PUBLISHERS
    for number in range(1, PUBLISHERS + 1):
        _write(folder, "publisher", number, (_published(seq, number) for seq in _chunks(each)))
    for number in range(1, WORKERS + 1):
        _write(folder, "worker", number, _received(number, each))
    events = folder / EVENTS_FILE
    events.write_text(FIRST_LINE + "".join(to_line(event) + "\n" for event in _events(each)), encoding="utf-8")


def scenario(messages: int) -> Scenario:
    """Return the scenario that such a history belongs to."""
    each = messages // PUBLISHERS
    return scenario_model(actions()).model_validate(
        {
            "name": f"{messages:,} messages",
            "publishers": {"count": PUBLISHERS, "messages": each},
            "workers": {"count": WORKERS, "acks": "automatic"},
            "timeline": [
                {"after": {"confirmed": PUBLISHERS * _killed_seq(each)}, "kill": {"worker": 1}},
                {"after": {"processed": PUBLISHERS * (_paused_seq(each) - _BEHIND) - HELD}, "pause": {"worker": 2}},
            ],
        }
    )


def _chunks(each: int) -> Iterator[np.ndarray]:
    for begin in range(0, each, _CHUNK):
        yield np.arange(begin, min(begin + _CHUNK, each))


def _published(seq: np.ndarray, number: int) -> np.ndarray:
    rows = _rows(seq, number)
    published, confirmed = _at(rows, Kind.PUBLISHED, 0, seq), _at(rows, Kind.CONFIRMED, 90_000, seq)
    confirmed["arg"] = 1
    return np.stack([published, confirmed], axis=1).reshape(-1)


def _received(number: int, each: int) -> Iterator[np.ndarray]:
    tag, killed_seq = 0, _killed_seq(each)
    for seq in _chunks(each):
        message = np.arange(int(seq[0]) * PUBLISHERS, (int(seq[-1]) + 1) * PUBLISHERS)
        worker = message % WORKERS
        dead = (worker == 0) & (message // PUBLISHERS >= killed_seq)
        worker[dead] = 1 + message[dead] // WORKERS % (WORKERS - 1)
        mine = message[worker == number - 1]
        rows = _rows(mine // PUBLISHERS, mine % PUBLISHERS + 1)
        tags = tag + np.arange(len(mine))
        tag += len(mine)
        delivered, done = _at(rows, Kind.DELIVERED, 300_000, tags), _at(rows, Kind.COMPLETED, 900_000, tags)
        if number == 1:
            done["kind"][mine // PUBLISHERS >= killed_seq - HELD * WORKERS // PUBLISHERS] = Kind.NONE
        records = np.stack([delivered, done], axis=1).reshape(-1)
        yield records[records["kind"] != Kind.NONE]


def _killed_seq(each: int) -> int:
    return each * 2 // 5


def _paused_seq(each: int) -> int:
    return each * 4 // 5


def _rows(seq: np.ndarray, publisher: np.ndarray | int) -> np.ndarray:
    rows = np.zeros(len(seq), dtype=DTYPE)
    rows["seq"], rows["publisher"], rows["attempt"], rows["connection"] = seq, publisher, 1, 1
    rows["at_ns"] = seq * STEP_NS
    return rows


def _at(rows: np.ndarray, kind: Kind, later_ns: int, tags: np.ndarray) -> np.ndarray:
    found = rows.copy()
    found["at_ns"] += later_ns
    found["kind"], found["tag"] = kind, tags + 1
    return found


def _write(folder: Path, role: str, number: int, parts: Iterator[np.ndarray]) -> None:
    header = LogHeader(role, f"{role}-{number}", number, 1, number, ("tasks",))
    with (folder / LOGS_FOLDER / f"{role}-{number}.1.log").open("wb") as file:
        file.write(json.dumps(asdict(header)).encode().ljust(HEADER_BYTES, b"\0"))
        for records in parts:
            file.write(records.astype(DTYPE).tobytes())


def _events(each: int) -> list[Event]:
    killed_ns, paused_ns = _killed_seq(each) * STEP_NS, _paused_seq(each) * STEP_NS
    end_ns = each * STEP_NS + 1_000_000_000
    workers = [
        ProcessStarted(at_ns=0, role="worker", actor=f"worker-{number}", incarnation=1, pid=number, variant=GUARANTEE)
        for number in range(1, WORKERS + 1)
    ]
    return [
        BrokerStarted(
            at_ns=0, backend="made", reason="", endpoint="", nodes=("n1",), rabbitmq="", erlang="", variant=GUARANTEE
        ),
        TrafficStarted(at_ns=0, variant=GUARANTEE),
        *workers,
        _struck(0, "kill", "worker-1", killed_ns, Becomes.KILLED),
        ProcessExited(
            at_ns=killed_ns,
            role="worker",
            actor="worker-1",
            incarnation=1,
            exit_code=-9,
            cause="fault",
            fault=0,
            variant=GUARANTEE,
        ),
        FaultHealed(at_ns=killed_ns, fault=0, action="kill", variant=GUARANTEE),
        _struck(1, "pause", "worker-2", paused_ns, Becomes.FROZEN),
        FaultHealed(at_ns=paused_ns + STEP_NS, fault=1, action="pause", variant=GUARANTEE),
        Drained(at_ns=end_ns, complete=True, reason="", variant=GUARANTEE),
    ]


def _struck(fault: int, action: str, actor: str, at_ns: int, becomes: Becomes) -> FaultInjected:
    return FaultInjected(
        at_ns=at_ns,
        fault=fault,
        action=action,
        title=f"{action} {actor}",
        family="process",
        colour="#c0392b",
        targets=(actor,),
        struck_at_ns=at_ns,
        healable=action == "pause",
        effects=on_process(becomes),
        variant=GUARANTEE,
    )
