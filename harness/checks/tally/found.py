"""What the collectors found in the queues at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.copies import Copies, DeliveredCopies
from harness.checks.tally.numbering import Numbering
from harness.checks.tally.publishes import name_numbers
from harness.checks.tally.sent import Sent
from harness.history.read import Log
from harness.history.records import Flag, Kind


@dataclass(frozen=True, slots=True)
class Found:
    """What was left in the queues after the drain: arrays of one length."""

    copy: NDArray[np.int64]
    """-1 where no life of the message leads to the queue."""
    message: NDArray[np.int64]
    attempt: NDArray[np.uint16]
    queue: NDArray[np.int64]
    """Index into `MessageTable.queues`."""
    died: NDArray[np.bool_]
    """Whether it came there as a dead letter."""
    corrupt: NDArray[np.bool_]
    """Whether its body does not fit its checksum."""
    foreign: int
    """How many more were found that nobody published."""


def read_found(
    logs: tuple[Log, ...], numbering: Numbering, copies: Copies, sent: Sent, queues: tuple[str, ...]
) -> Found:
    """Read the logs of collectors."""
    none = np.empty(0, dtype=np.int64)
    no = none.astype(bool)
    found, foreign = [Found(none, none, none.astype(np.uint16), none, no, no, 0)], 0
    for log in logs:
        log.verify()
        rows = log.records[log.records["kind"] == Kind.FOUND]
        message = numbering.of(rows)
        foreign += int(np.count_nonzero(message < 0))
        rows, message = rows[message >= 0], message[message >= 0]
        found.append(
            Found(
                copy=DeliveredCopies(log, numbering, copies, sent.route, sent.carried()).copies(rows, message),
                message=message,
                attempt=rows["attempt"],
                queue=name_numbers(log, queues)[rows["queue"]],
                died=((rows["flags"] & Flag.DEAD_LETTERED) != 0) | (rows["death"] != 0),
                corrupt=(rows["flags"] & Flag.CORRUPT) != 0,
                foreign=0,
            )
        )
    columns = ("copy", "message", "attempt", "queue", "died", "corrupt")
    return Found(**{name: np.concatenate([getattr(part, name) for part in found]) for name in columns}, foreign=foreign)
