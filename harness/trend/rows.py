"""What the trend keeps of a run: one row for each variant, made from its verdict and its history.

The columns are described in docs/trend-schema.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from harness.history.history import History
from harness.history.records import Kind
from harness.scenario.scenario import GUARANTEE
from harness.verdict.data import Fate, RunVerdict, VariantVerdict
from harness.verdict.times import Percentiles

SCHEMA_VERSION: Final = 3
"""Since 2, `processed`, `lost`, `loss_rate`, `duplicates` and `stranded` count copies, not messages. Since 3 a time in which a worker was at work
is no outage of workers."""
READ_VERSIONS: Final = frozenset({1, 2, 3})
"""What a store may hold."""
ADDED_COLUMNS: Final = frozenset({"completion_due_p99_s", "broker_down_s"})
"""What files have since version 3, and rows of older ones have not."""
_CHANGED_COLUMNS: Final = {
    2: frozenset({"processed", "lost", "loss_rate", "duplicates", "stranded"}),
    3: frozenset({"outage_workers_s"}),
}
"""By version, what has meant something else since then."""


def is_comparable(column: str, version: int, other: int) -> bool:
    """Whether a column means the same in the rows of two versions."""
    least, most = sorted((version, other))
    return not any(column in _CHANGED_COLUMNS.get(each, ()) for each in range(least + 1, most + 1))


@dataclass(frozen=True, slots=True)
class Row:
    """One variant of one run. Figures that the run does not have are None. Times are seconds."""

    schema_version: int
    run_id: str
    """Unique to the run."""
    night: str
    """What the run counts for: runs of one night are repetitions of each other."""
    started_at: datetime
    """In UTC."""
    scenario: str
    file: str
    variant: str
    control: bool
    settings: str
    """What a control sets, e.g. `workers.acks: automatic`."""
    outcome: str
    seed: int
    backend: str
    rabbitmq: str
    harness: str
    platform: str
    published: int
    promised: int
    processed: int
    lost: int
    redelivered: int
    duplicates: int
    stranded: int
    loss_rate: float | None
    """Lost copies of those promised."""
    recovery_s: float | None
    """The longest recovery after a fault."""
    outage_publishers_s: float | None
    outage_workers_s: float | None
    """Times without service, of half a second or longer, in all; None where no fault struck."""
    broker_down_s: float | None
    """For how long no node of the broker answered, in all; None where no fault struck."""
    confirm_p99_s: float | None
    completion_p99_s: float | None
    completion_due_p99_s: float | None
    """From when messages were due by their publishers' rates; None without a rate."""
    throughput: float | None
    """Completions a second, from the release of the publishers to the last completion."""
    duration_s: float


COLUMNS: Final = tuple(field.name for field in fields(Row))


def rows_of(run: RunVerdict, histories: Mapping[str, History], *, run_id: str, night: str) -> tuple[Row, ...]:
    """Make a run's rows, one for each variant that had a broker: what reached none says nothing of any.

    Raises ValueError where the verdict's start is no time.
    """
    started_at = datetime.fromisoformat(run.started_at).astimezone(UTC)
    return tuple(
        Row(
            schema_version=SCHEMA_VERSION,
            run_id=run_id,
            night=night,
            started_at=started_at,
            scenario=run.scenario,
            file=run.file,
            variant=variant.name,
            control=variant.name != GUARANTEE,
            settings=", ".join(f"{path}: {value}" for path, value in variant.settings.items()),
            outcome=variant.outcome.value,
            seed=run.seed,
            backend=variant.backend,
            rabbitmq=variant.rabbitmq,
            harness=run.versions.get("harness", ""),
            platform=run.versions.get("platform", ""),
            published=variant.counts.published,
            promised=variant.promised,
            processed=sum(
                variant.counts.fates.get(fate, 0) for fate in (Fate.PROCESSED, Fate.RECOVERED, Fate.RESURRECTED)
            ),
            lost=_lost(variant),
            redelivered=variant.counts.redelivered,
            duplicates=variant.counts.duplicates,
            stranded=variant.counts.fates.get(Fate.STRANDED, 0),
            loss_rate=_lost(variant) / variant.counts.promised_copies if variant.counts.promised_copies else None,
            recovery_s=max(
                (fault.recovery_s for fault in variant.faults if fault.recovery_s is not None), default=None
            ),
            outage_publishers_s=_outage_s(variant, "publishers"),
            outage_workers_s=_outage_s(variant, "workers"),
            broker_down_s=variant.broker_down.total_s if variant.broker_down is not None and _struck(variant) else None,
            confirm_p99_s=_p99(variant.confirm_latency),
            completion_p99_s=_p99(variant.completion_latency),
            completion_due_p99_s=_p99(variant.completion_due_latency),
            throughput=_throughput(histories[variant.name]) if variant.name in histories else None,
            duration_s=variant.duration_s,
        )
        for variant in run.variants
        if variant.backend
    )


def _lost(variant: VariantVerdict) -> int:
    return variant.counts.fates.get(Fate.LOST, 0)


def _p99(latency: Percentiles | None) -> float | None:
    return None if latency is None else latency.p99


def _struck(variant: VariantVerdict) -> bool:
    return any(fault.injected_s is not None for fault in variant.faults)


def _outage_s(variant: VariantVerdict, who: str) -> float | None:
    if not _struck(variant):
        return None
    return sum((outage.end_s - outage.begin_s for outage in variant.outages if outage.who == who), 0.0)


def _throughput(history: History) -> float | None:
    completed = [log.records["at_ns"][log.records["kind"] == Kind.COMPLETED] for log in history.of_role("worker")]
    count = sum(len(times) for times in completed)
    took_ns = max((int(times.max()) for times in completed if len(times)), default=0) - history.zero_ns
    return count * 1e9 / took_ns if count and took_ns > 0 else None
