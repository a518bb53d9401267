"""What reports say of publishers that did not keep to their rate, and of the latency that counts from when messages were due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report.charts import latency
from harness.report.compare import Side, comparison
from harness.report.junit import junit
from harness.report.openmetrics import openmetrics
from harness.verdict.data import RunVerdict
from harness.verdict.times import Schedule
from tests.unit import report_samples as samples
from tests.unit.test_report_html import Page, rendered


def with_schedule(schedule: Schedule | None) -> samples.Sample:
    sample = samples.scheduled()
    variant = replace(sample.run.variants[0], schedule=schedule)
    return replace(sample, run=replace(sample.run, variants=(variant,)))


def test_the_page_says_how_many_were_sent_late_and_how_many_never() -> None:
    said = Page(rendered(samples.scheduled())).text
    assert (
        "4 of 7 messages with a rate were not sent in time: more than 250 ms after they were due, by 970 ms at most."
        in said
    )
    assert "3 messages of the schedule were never sent." in said
    assert "Due to completion, by steps of" in said


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (
            Schedule(8, 0, 0.02, 0.25, 0),
            "Every message with a rate that was sent was sent in time: at most 20 ms after it was due.",
        ),
        (
            Schedule(8, 1, 0.3, 0.25, 1),
            "1 of 8 messages with a rate was not sent in time: more than 250 ms after it was due, by 300 ms",
        ),
    ],
)
def test_one_and_none_are_said_as_such(schedule: Schedule, said: str) -> None:
    assert said in Page(rendered(with_schedule(schedule))).text


def test_without_a_rate_the_page_says_nothing_of_a_schedule() -> None:
    assert "with a rate" not in Page(rendered(samples.passing())).text
    assert "Due to completion" not in Page(rendered(samples.passing())).text


def test_the_chart_has_a_plot_for_each_latency() -> None:
    def plots(sample: samples.Sample) -> int:
        return str(latency(sample.run.variants[0])).count("'ms to ")

    assert plots(samples.scheduled()) == plots(samples.passing()) + 1


def rows(run: RunVerdict) -> dict[str, str]:
    side = Side("one", run, {})
    return {row.what: row.left for row in comparison(side, side)[-1].rows}


def test_a_comparison_has_the_figures_of_the_schedule() -> None:
    found = rows(samples.scheduled().run)
    assert (found["not sent in time"], found["sent late, at most by"], found["never sent"]) == ("4", "970 ms", "3")
    assert found["due to completion: longest"] == "1.01 s"
    assert "not sent in time" not in rows(samples.passing().run)
    unknown = with_schedule(Schedule(8, 4, 0.97, 0.25, None)).run
    assert rows(unknown)["never sent"] == "—"


def test_metrics_have_them_and_leave_out_what_is_not_known() -> None:
    labels = '{scenario="schedule",variant="guarantee"}'
    said = openmetrics(samples.scheduled().run).splitlines()
    assert f"chaos_late_messages{labels} 4" in said
    assert f"chaos_most_late_seconds{labels} 0.97" in said
    assert f"chaos_never_sent_messages{labels} 3" in said
    assert any(line.startswith("chaos_completion_due_latency_seconds{") for line in said)
    assert "chaos_never_sent_messages" not in openmetrics(with_schedule(Schedule(8, 4, 0.97, 0.25, None)).run)
    assert "chaos_late_messages" not in openmetrics(samples.passing().run)


def test_junit_has_the_latency() -> None:
    assert 'name="guarantee.completion_due_p99_s"' in junit(samples.scheduled().run)
    assert "completion_due" not in junit(samples.passing().run)
