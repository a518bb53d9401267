"""A history over time, aggregated for charts: rates, backlog and deliveries in flight, in a few hundred buckets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.history.history import History
from harness.history.read import Log
from harness.history.records import Flag, Kind

BUCKETS = 300
"""Points a line; more than a screen shows, few enough for a small file."""


@dataclass(frozen=True, slots=True)
class Series:
    """Arrays of one length; `at_s` are the middles of the buckets, in seconds since the publishers were released."""

    at_s: np.ndarray
    rates: dict[str, np.ndarray]
    """Messages a second: published, confirmed, delivered, completed, acknowledged."""
    backlog: np.ndarray
    """Published and not yet completed, at the end of each bucket."""
    in_flight: np.ndarray
    """Delivered and not yet completed, at the end of each bucket."""


def series(history: History) -> Series | None:
    """Aggregate a history; None if nothing was published."""
    times = {
        "published": _times(history, "publisher", Kind.PUBLISHED),
        "confirmed": _times(history, "publisher", Kind.CONFIRMED),
        "delivered": _times(history, "worker", Kind.DELIVERED),
        "completed": _completed(history),
        "acknowledged": _times(history, "worker", Kind.ACKED),
    }
    everything = [at_ns for at_ns, _ in times.values() if len(at_ns)]
    if not everything:
        return None
    begin = min(int(at_ns.min()) for at_ns in everything)
    end = max(int(at_ns.max()) for at_ns in everything) + 1
    edges = np.linspace(begin, end, BUCKETS + 1)
    width_s = (end - begin) / 1e9 / BUCKETS
    counts = {name: np.histogram(at_ns, edges, weights=weights)[0] for name, (at_ns, weights) in times.items()}
    first_published = _first_attempts(history)
    published = np.histogram(first_published, edges)[0]
    return Series(
        at_s=((edges[:-1] + edges[1:]) / 2 - history.zero_ns) / 1e9,
        rates={name: count / width_s for name, count in counts.items()},
        backlog=np.maximum(np.cumsum(published) - np.cumsum(counts["completed"]), 0),
        in_flight=np.maximum(
            np.cumsum(counts["delivered"]) - np.cumsum(counts["completed"]) - _forgotten(history, edges), 0
        ),
    )


def _times(history: History, role: str, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of all records of a kind, and how many messages each stands for."""
    parts = [log.records[log.records["kind"] == kind] for log in history.of_role(role)]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0)
    rows = np.concatenate(parts)
    ranged = kind in (Kind.CONFIRMED, Kind.ACKED)
    return rows["at_ns"], rows["arg"].astype(float) if ranged else np.ones(len(rows))


def _completed(history: History) -> tuple[np.ndarray, np.ndarray]:
    parts = [log.records["at_ns"][_done(log)] for log in history.of_role("worker")]
    at_ns = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    return at_ns, np.ones(len(at_ns))


def _done(log: Log) -> np.ndarray:
    kind, flags = log.records["kind"], log.records["flags"]
    done: np.ndarray = (kind == Kind.COMPLETED) | ((kind == Kind.DELIVERED) & ((flags & Flag.DONE) != 0))
    return done


def _first_attempts(history: History) -> np.ndarray:
    parts = [
        log.records["at_ns"][(log.records["kind"] == Kind.PUBLISHED) & (log.records["attempt"] == 1)]
        for log in history.of_role("publisher")
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _forgotten(history: History, edges: np.ndarray) -> np.ndarray:
    """Count deliveries that ended otherwise: rejected, or gone with their connection or process, cumulated over the buckets."""
    gone = np.zeros(len(edges) - 1)
    for log in history.of_role("worker"):
        records = log.records
        rejected = records["at_ns"][records["kind"] == Kind.REJECTED]
        gone += np.histogram(rejected, edges)[0]
        for connection in np.unique(records["connection"]).tolist():
            mine = records[records["connection"] == connection]
            held = np.count_nonzero(mine["kind"] == Kind.DELIVERED)
            held -= np.count_nonzero(_done(Log(log.header, mine))) + np.count_nonzero(mine["kind"] == Kind.REJECTED)
            if held > 0 and len(mine):
                gone += np.histogram([int(mine["at_ns"].max())], edges, weights=[float(held)])[0]
    return np.cumsum(gone)
