"""What each fault could have taken when it struck. A fault that met nothing at risk proves nothing."""

from __future__ import annotations

import numpy as np

from harness.checks.deliveries import KEPT
from harness.checks.happenings import Happening
from harness.checks.settlement import NEVER
from harness.checks.tally import Tally

HARMLESS = frozenset({"scale", "declare", "publish", "resume"})
"""Actions that put no message at risk."""

_NONE = np.empty(0, dtype=np.int64)


def last_alive_ns(tally: Tally, lost: np.ndarray, taken_ns: np.ndarray) -> np.ndarray:
    """Return for each message until when it could still be harmed: its first completion, or what took it.

    `lost` are the lost messages and `taken_ns` when each was taken. What was never settled and never completed was at risk until its
    connection was lost; what was refused was not. What rests in a queue at the end stays at risk.
    """
    until = tally.first_completed_ns.copy()
    unsafe = ~tally.promised & (tally.completions == 0)
    until[unsafe] = 0
    publishes = tally.publishes
    rows = np.flatnonzero((unsafe & ~tally.refused)[publishes.message])
    lost_ns = np.array([session.lost_ns for session in tally.sessions], dtype=np.int64)
    np.maximum.at(until, publishes.message[rows], lost_ns[publishes.session[rows]])
    until[tally.found.message] = NEVER
    until[lost] = np.minimum(until[lost], taken_ns)
    return until


def at_risk(happening: Happening, tally: Tally, until_ns: np.ndarray) -> int | None:
    """Count the messages in reach of a fault when it struck; None for an action that puts none at risk.

    Broker: published and not completed, wherever they were. Purge: the same, not yet delivered. Closed connections: at the loss of each,
    held by a worker, or not settled at a publisher. A worker: delivered to the incarnation that was struck and not completed, or (killed)
    not acknowledged. A publisher: published by it and not settled (without confirms: not yet delivered). An injection takes its time: the
    greater figure of its beginning and its effect counts. The kill of a process is looked at by its effect alone, for it may have waited
    for one that holds something; other faults of processes by their beginning, for an orderly stop waits until nothing is held.
    """
    if happening.action in HARMLESS:
        return None
    if happening.family == "connection":
        lost_ns = np.array([session.lost_ns for session in tally.sessions], dtype=np.int64)
        struck = np.array(
            [happening.cut_off(session) and session.lost_ns != session.death_ns for session in tally.sessions],
            dtype=bool,
        )
        return _in_hand(happening, struck, lost_ns, tally)
    if happening.family == "process":
        moments = [happening.struck_ns if happening.action == "kill" else happening.at_ns]
    else:
        moments = [happening.at_ns, happening.struck_ns]
    return max(_at_risk(happening, moment, tally, until_ns) for moment in moments)


def _at_risk(happening: Happening, when_ns: int, tally: Tally, until_ns: np.ndarray) -> int:
    if happening.family == "broker":
        return int(np.count_nonzero((tally.first_published_ns <= when_ns) & (until_ns > when_ns)))
    if happening.action == "purge":
        waiting = (tally.first_published_ns <= when_ns) & (tally.first_delivered_ns > when_ns) & (until_ns > when_ns)
        leads = np.array([route in happening.targets or "/" in route for route in tally.routes] or [False])
        return int(np.count_nonzero(waiting & leads[tally.route]))
    struck = np.array(
        [session.actor in happening.targets and session.lost_ns >= happening.at_ns for session in tally.sessions],
        dtype=bool,
    )
    return _in_hand(happening, struck, np.full(len(tally.sessions), when_ns), tally)


def _in_hand(happening: Happening, struck: np.ndarray, when_ns: np.ndarray, tally: Tally) -> int:
    """Count what workers held and publishers had not settled on the connections that were struck, at a moment of each."""
    return _held(happening, struck, when_ns, tally) + _unsettled(struck, when_ns, tally)


def _held(happening: Happening, struck: np.ndarray, when_ns: np.ndarray, tally: Tally) -> int:
    deliveries = tally.deliveries
    rows = np.flatnonzero(struck[deliveries.session] & (deliveries.rejected == KEPT)) if struck.any() else _NONE
    moment_ns = when_ns[deliveries.session[rows]]
    held = deliveries.completed_ns[rows] > moment_ns
    if happening.action == "kill" and deliveries.acked[rows].any():  # with automatic acks there are none to come
        held |= ~deliveries.acked[rows]
    return int(np.count_nonzero(held & (deliveries.at_ns[rows] <= moment_ns)))


def _unsettled(struck: np.ndarray, when_ns: np.ndarray, tally: Tally) -> int:
    publishes = tally.publishes
    rows = np.flatnonzero(struck[publishes.session] & ~publishes.nacked) if struck.any() else _NONE
    moment_ns = when_ns[publishes.session[rows]]
    confirmed_ns, delivered_ns = publishes.confirmed_ns[rows], tally.first_delivered_ns[publishes.message[rows]]
    settled_ns = np.where(publishes.confirmable[rows], confirmed_ns, delivered_ns)
    return int(np.count_nonzero((publishes.at_ns[rows] <= moment_ns) & (settled_ns > moment_ns)))
