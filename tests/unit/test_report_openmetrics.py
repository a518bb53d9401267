from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import parser as older
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as newer

from harness.report.openmetrics import openmetrics
from harness.verdict.data import Fate
from harness.verdict.times import Outage
from tests.unit import report_samples as samples

# The parsers have no types.
READERS: dict[str, Any] = {
    "OpenMetrics": newer.text_string_to_metric_families,
    "Prometheus": older.text_string_to_metric_families,
}


def read(text: str, reader: str = "OpenMetrics") -> list[Metric]:
    return list(READERS[reader](text))


def values(name: str, text: str, **labels: str) -> list[float]:
    return [
        sample.value
        for family in read(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", samples.ALL)
def test_both_formats_readers_take_every_run(name: str, reader: str) -> None:
    text = openmetrics(samples.ALL[name]().run)
    families = read(text, reader)
    assert families
    assert {family.type for family in families} == {"gauge"}
    found = [(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples]
    assert len(found) == len(set(found)), "no series twice"
    assert all(math.isfinite(sample.value) for family in families for sample in family.samples)
    assert all(sample.timestamp is None for family in families for sample in family.samples)


def test_the_openmetrics_reader_would_refuse_a_text_cut_short() -> None:
    text = openmetrics(samples.passing().run)
    with pytest.raises(ValueError, match="EOF"):
        read(text.removesuffix("# EOF\n"))


def test_what_may_as_well_have_been_lost_is_a_figure_of_its_own() -> None:
    text = openmetrics(samples.every_fate().run)
    assert values("chaos_fate_messages", text, fate="dropped") == [18]
    assert values("chaos_possibly_lost_messages", text, fate="dropped") == [2]
    assert values("chaos_possibly_lost_messages", text, fate="expired") == []


def test_the_figures_are_those_of_the_verdict() -> None:
    run = samples.failing().run
    text = openmetrics(run)
    (variant,) = run.variants
    assert values("chaos_fate_messages", text, variant="guarantee", fate="lost") == [312]
    assert sum(values("chaos_fate_messages", text)) == variant.counts.published
    assert values("chaos_flow", text, what="redelivered") == [variant.counts.redelivered]
    assert values("chaos_run_outcome", text, outcome="violated") == [1]
    assert values("chaos_run_outcome", text, outcome="as expected") == [0]
    assert values("chaos_fault_taken_messages", text, step="1", action="kill") == [312]
    assert values("chaos_run_started_timestamp_seconds", text) == [1795510800]
    assert variant.completion_latency is not None
    assert values("chaos_completion_latency_seconds", text, statistic="p99") == [variant.completion_latency.p99]


def test_times_without_service_are_added_up() -> None:
    run = samples.passing().run
    outages = (Outage("workers", 1.0, 2.5), Outage("workers", 4.0, 4.75), Outage("publishers", 0.0, 9.0))
    text = openmetrics(replace(run, variants=(replace(run.variants[0], outages=outages),)))
    assert values("chaos_outage_seconds", text, who="workers") == [2.25]
    assert values("chaos_outage_seconds", text, who="publishers") == [9]


def test_what_was_not_measured_has_no_sample() -> None:
    run = samples.passing().run
    variant = replace(run.variants[0], confirm_latency=None, faults=())
    text = openmetrics(replace(run, variants=(variant,)))
    assert "chaos_confirm_latency_seconds" not in text
    assert "chaos_recovery_seconds" not in text


def test_every_guarantee_and_control_has_its_fates() -> None:
    text = openmetrics(samples.passing().run)
    assert len(values("chaos_fate_messages", text)) == 3 * len(Fate)
    assert values("chaos_fate_messages", text, variant="transient messages", fate="lost") == [5]


def test_a_hostile_name_stays_one_label() -> None:
    text = openmetrics(samples.hostile().run)
    assert all(line.startswith(("#", "chaos_")) for line in text.splitlines())
    assert len(values("chaos_run_duration_seconds", text)) == 1
