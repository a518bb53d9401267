"""metrics.prom: a run's figures as OpenMetrics text, for a node exporter's text file folder or a push gateway.

Only gauges without timestamps, so that what reads the older Prometheus text format takes the file as well. A figure that a run does not
have is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from harness.plain import plain
from harness.verdict.data import Fate, Outcome, RunVerdict, VariantVerdict
from harness.verdict.times import Percentiles

Sample = tuple[dict[str, str], float]
"""Labels and value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: what it is called, what it means, and its samples. A name with a unit ends in it."""

    name: str
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


_FLOW: Final = (
    "published",
    "copies",
    "publishes",
    "confirmed",
    "nacked",
    "returned",
    "indeterminate",
    "unconfirmed",
    "deliveries",
    "redelivered",
    "completions",
    "duplicates",
    "unexplained_duplicates",
    "phantom",
    "corrupt",
    "misrouted",
    "kept_after_ack",
    "out_of_order",
)


def openmetrics(run: RunVerdict) -> str:
    """Render a run; lines end in a line feed, the last one says that the text is whole."""
    return "\n".join([*(line for family in _families(run) if family.samples for line in _lines(family)), "# EOF", ""])


def _families(run: RunVerdict) -> Iterator[Family]:
    of_run = {"scenario": run.scenario}
    versions = {name: run.versions[name] for name in ("harness", "rabbitmq", "erlang") if run.versions.get(name)}
    yield Family("chaos_run_info", "What ran; always 1.", ((of_run | versions | {"seed": str(run.seed)}, 1),))
    yield Family(
        "chaos_run_outcome", "1 for the verdict of the run, 0 for the others.", tuple(_one_of(of_run, run.outcome))
    )
    yield Family("chaos_run_started_timestamp_seconds", "When the run began.", tuple(_started(run)), "seconds")
    yield Family("chaos_run_duration_seconds", "How long the run took.", ((of_run, run.duration_s),), "seconds")
    variants = [(of_run | {"variant": variant.name}, variant) for variant in run.variants]
    yield Family(
        "chaos_outcome",
        "1 for the verdict of the variant, 0 for the others.",
        tuple(sample for labels, variant in variants for sample in _one_of(labels, variant.outcome)),
    )
    yield Family(
        "chaos_duration_seconds",
        "How long the variant took.",
        tuple((labels, variant.duration_s) for labels, variant in variants),
        "seconds",
    )
    yield Family(
        "chaos_promised_messages",
        "Messages that had to arrive.",
        tuple((labels, variant.promised) for labels, variant in variants),
        "messages",
    )
    yield Family(
        "chaos_fate_messages",
        "What became of the copies: a message in each queue that it was put in.",
        tuple(
            (labels | {"fate": fate.value}, variant.counts.fates.get(fate, 0))
            for labels, variant in variants
            for fate in Fate
        ),
        "messages",
    )
    yield Family(
        "chaos_possibly_lost_messages",
        "Copies of a fate that may as well have been lost.",
        tuple(
            (labels | {"fate": fate.value}, count)
            for labels, variant in variants
            for fate, count in variant.counts.possible.items()
        ),
        "messages",
    )
    yield Family(
        "chaos_flow",
        "Publishes, confirms, deliveries and completions, and what was odd about them.",
        tuple(
            (labels | {"what": what}, getattr(variant.counts, what)) for labels, variant in variants for what in _FLOW
        ),
    )
    yield Family(
        "chaos_expectations",
        "Expectations by how they stand.",
        tuple(
            (labels | {"holds": word}, sum(each.holds is holds for each in variant.expectations))
            for labels, variant in variants
            for word, holds in (("yes", True), ("no", False), ("not measured", None))
        ),
    )
    for name, help_text, of in (
        ("chaos_confirm_latency_seconds", "From publish to confirm.", "confirm_latency"),
        ("chaos_completion_latency_seconds", "From publish to completed work.", "completion_latency"),
        (
            "chaos_completion_due_latency_seconds",
            "From when a message was due by its publisher's rate to completed work.",
            "completion_due_latency",
        ),
    ):
        yield Family(name, help_text, tuple(_latencies(variants, of)), "seconds")
    yield from _schedules(variants)
    yield Family(
        "chaos_outage_seconds",
        "Times without service, of half a second or longer, in all.",
        tuple(
            (labels | {"who": who}, sum(each.end_s - each.begin_s for each in variant.outages if each.who == who))
            for labels, variant in variants
            for who in ("publishers", "workers")
        ),
        "seconds",
    )
    yield Family(
        "chaos_broker_down_seconds",
        "For how long no node of the broker answered, in all.",
        tuple((labels, variant.broker_down.total_s) for labels, variant in variants if variant.broker_down is not None),
        "seconds",
    )
    yield from _faults(variants)


def _schedules(variants: Iterable[tuple[dict[str, str], VariantVerdict]]) -> Iterator[Family]:
    kept = [(labels, variant.schedule) for labels, variant in variants if variant.schedule is not None]
    yield Family(
        "chaos_late_messages",
        "Messages that were not sent in time, by their publisher's rate.",
        tuple((labels, schedule.late) for labels, schedule in kept),
        "messages",
    )
    yield Family(
        "chaos_most_late_seconds",
        "From when a message was due until it was sent, at the most.",
        tuple((labels, schedule.most_late_s) for labels, schedule in kept),
        "seconds",
    )
    yield Family(
        "chaos_never_sent_messages",
        "Messages of the publishers' schedules that were never sent.",
        tuple((labels, schedule.never_sent) for labels, schedule in kept if schedule.never_sent is not None),
        "messages",
    )


def _faults(variants: Iterable[tuple[dict[str, str], VariantVerdict]]) -> Iterator[Family]:
    struck = [
        (labels | {"step": str(fault.fault + 1), "action": fault.action}, fault)
        for labels, variant in variants
        for fault in variant.faults
        if fault.injected_s is not None
    ]
    yield Family(
        "chaos_fault_taken_messages",
        "Lost messages joined to the fault that took them.",
        tuple((labels, fault.taken) for labels, fault in struck),
        "messages",
    )
    yield Family(
        "chaos_fault_at_risk_messages",
        "Messages in reach of the fault when it struck.",
        tuple((labels, fault.at_risk) for labels, fault in struck if fault.at_risk is not None),
        "messages",
    )
    yield Family(
        "chaos_fault_late_seconds",
        "From the moment at which the fault's trigger was met to the begin of its injection.",
        tuple((labels, fault.late_s) for labels, fault in struck if fault.late_s is not None),
        "seconds",
    )
    yield Family(
        "chaos_recovery_seconds",
        "From the end of the fault to the next completed work, or confirm without workers.",
        tuple((labels, fault.recovery_s) for labels, fault in struck if fault.recovery_s is not None),
        "seconds",
    )


def _one_of(labels: dict[str, str], found: Outcome) -> Iterator[Sample]:
    for outcome in Outcome:
        yield labels | {"outcome": outcome.value}, outcome is found


def _started(run: RunVerdict) -> Iterator[Sample]:
    try:
        yield {"scenario": run.scenario}, datetime.fromisoformat(run.started_at).timestamp()
    except ValueError:
        return


def _latencies(variants: Iterable[tuple[dict[str, str], VariantVerdict]], of: str) -> Iterator[Sample]:
    for labels, variant in variants:
        found: Percentiles | None = getattr(variant, of)
        if found is not None:
            for statistic in ("p50", "p95", "p99", "max"):
                yield labels | {"statistic": statistic}, getattr(found, statistic)


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} gauge"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.help}"
    for labels, value in family.samples:
        written = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{family.name}{{{written}}} {_number(value)}"


def _escaped(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
