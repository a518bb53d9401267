"""Where deaths led, as the messages tell it themselves: of a broker that cannot be asked, nobody knows the policies.

A message that was delivered or found says where it had died. Only what the scenario does not set is learned from that, and nothing from
messages that were published with the deaths of an earlier life.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.lives import DeathPath
from harness.checks.tally.numbering import Numbering
from harness.history.read import Log
from harness.history.records import Kind


@dataclass(frozen=True, slots=True)
class LearnedTargets:
    """Where the deaths in one queue led."""

    queues: tuple[str, ...]
    together: bool
    """Whether one death led into all of them, as a message was seen in several; else each led into one."""


def learn_targets(
    logs: Iterable[Log], numbering: Numbering, carried: NDArray[np.uint8] | None
) -> dict[str, LearnedTargets]:
    """Return it by the queue that messages died in; `carried` is by message, how many deaths its publish told of (None if none did)."""
    seen: dict[str, dict[str, list[NDArray[np.int64]]]] = {}
    paths: dict[DeathPath, int] = {}
    for queue, path, messages in _dead_letters(logs, numbering, carried):
        number = paths.setdefault(path, len(paths))
        targets = seen.setdefault(path[-1][0], {})
        targets.setdefault(queue, []).append(messages << 24 | number)
        once = all(
            count == 1 for _, _, count in path
        )  # else the last two entries alone are sure to have followed each other
        for (source, _, _), (target, _, _) in list(pairwise(path))[0 if once else -1 :]:
            seen.setdefault(source, {}).setdefault(target, [])
    return {source: LearnedTargets(tuple(targets), _together(targets)) for source, targets in seen.items()}


def _dead_letters(
    logs: Iterable[Log], numbering: Numbering, carried: NDArray[np.uint8] | None
) -> Iterator[tuple[str, DeathPath, NDArray[np.int64]]]:
    """Yield in which queue messages came, how they had died, and which these are."""
    for log in logs:
        for block in log.blocks() if len(log.deaths) > 1 else ():
            there = (block["death"] != 0) & ((block["kind"] == Kind.DELIVERED) | (block["kind"] == Kind.FOUND))
            rows = block[there]
            messages = numbering.of(rows)
            known = messages >= 0
            if carried is not None:
                known &= carried[messages] == 0
            keys = rows["queue"].astype(np.int64) << 16 | rows["death"]
            for key in np.unique(keys[known]).tolist():
                path = log.deaths[key & 0xFFFF].path
                if path:
                    yield log.names[key >> 16], path, messages[known & (keys == key)].astype(np.int64)


def _together(targets: Mapping[str, list[NDArray[np.int64]]]) -> bool:
    """Whether one message came to several queues by the same deaths."""
    each = [np.unique(np.concatenate(parts)) for parts in targets.values() if parts]
    every = np.concatenate([np.empty(0, dtype=np.int64), *each])
    return len(np.unique(every)) < len(every)
