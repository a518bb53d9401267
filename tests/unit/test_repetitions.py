from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from rich.console import Console

from harness.report.batch import badge_message, write_batch
from harness.report.suite import print_suite, suite_markdown
from harness.verdict.data import Outcome, RunVerdict
from harness.verdict.repetitions import Repetitions, by_scenario, headline
from tests.unit import report_samples as samples


def run(outcome: Outcome, *, scenario: str = "worker kill", seed: int = 1) -> RunVerdict:
    made = samples.failing(3).run if outcome is Outcome.VIOLATED else samples.passing().run
    return replace(
        made, outcome=outcome, scenario=scenario, file=f"{scenario}.yaml", seed=seed, replay=f"chaos run --seed {seed}"
    )


FLAKY = [
    run(Outcome.AS_EXPECTED),
    run(Outcome.VIOLATED, seed=2),
    run(Outcome.AS_EXPECTED, seed=3),
    run(Outcome.VIOLATED, seed=4),
]
STEADY = [run(Outcome.AS_EXPECTED, scenario="unroutable", seed=seed) for seed in (5, 6)]
NIGHT = by_scenario([FLAKY[0], STEADY[0], *FLAKY[1:], STEADY[1]])


@pytest.mark.parametrize(
    ("outcomes", "expected", "flaky"),
    [
        ((Outcome.AS_EXPECTED,) * 3, Outcome.AS_EXPECTED, False),
        ((Outcome.AS_EXPECTED, Outcome.VIOLATED, Outcome.AS_EXPECTED), Outcome.VIOLATED, True),
        ((Outcome.INCONCLUSIVE, Outcome.AS_EXPECTED), Outcome.INCONCLUSIVE, True),
        ((Outcome.INFRASTRUCTURE, Outcome.VIOLATED, Outcome.INCONCLUSIVE), Outcome.VIOLATED, True),
        ((Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE), Outcome.INFRASTRUCTURE, True),
        ((Outcome.VIOLATED,) * 2, Outcome.VIOLATED, False),
        ((Outcome.AS_EXPECTED, Outcome.INTERRUPTED), Outcome.INTERRUPTED, False),
    ],
)
def test_no_repetition_makes_good_what_another_one_showed(
    outcomes: tuple[Outcome, ...], expected: Outcome, flaky: bool
) -> None:
    for runs in (outcomes, outcomes[::-1]):
        found = Repetitions(tuple(run(outcome) for outcome in runs))
        assert (found.outcome, found.flaky) == (expected, flaky)
        assert found.worst_run.outcome is expected


def test_runs_are_grouped_by_scenario() -> None:
    assert [(each.scenario, len(each.runs)) for each in NIGHT] == [("worker kill", 4), ("unroutable", 2)]
    assert NIGHT[0].shares == "violated 2, as expected 2"
    assert [each.seed for each in NIGHT[0].differing] == [2, 4]


def test_the_sentence_names_what_is_flaky() -> None:
    assert headline(NIGHT) == "1 of 2 scenarios as expected, 1 violated; flaky: worker kill"
    assert headline(by_scenario(STEADY)) == "1 of 1 scenario as expected"
    assert badge_message(NIGHT) == "1 of 2 violated, 1 flaky"
    assert badge_message(by_scenario(STEADY)) == "1 of 1 as expected"


def test_the_summary_begins_with_the_verdict_and_a_table_of_the_scenarios() -> None:
    lines = suite_markdown(NIGHT, title="nightly").splitlines()
    assert lines[0] == "## ❌ nightly: violated"
    assert lines[2] == "**1 of 2 scenarios as expected, 1 violated; flaky: worker kill** (6 runs)"
    assert lines[6].startswith(
        "| worker kill | ❌ violated **flaky** (violated 2, as expected 2) | 4 | 23 tasks: 20 done, 3 lost at worker-1"
    )
    assert lines[7].startswith("| unroutable | ✅ as expected | 2 | ")
    text = "\n".join(lines)
    assert text.count("<details>") == text.count("</details>")
    assert "- ❌ violated: <code>chaos run --seed 4</code>" in lines


def test_what_is_not_as_expected_is_told_first() -> None:
    text = suite_markdown(by_scenario([*STEADY, *FLAKY]))
    assert text.index("<summary>worker kill</summary>") < text.index("<summary>unroutable</summary>")
    assert text.startswith("## ❌ 2 scenarios: violated\n")


def test_the_table_on_a_terminal_names_what_is_flaky() -> None:
    console = Console(width=120, record=True, color_system=None)
    print_suite(NIGHT, console)
    said = console.export_text()
    assert "violated (flaky)" in said
    assert "violated 2, as expected 2" in said
    assert "VIOLATED  1 of 2 scenarios as expected" in said


def test_a_night_leaves_a_summary_all_its_cases_and_a_badge(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    summary, cases, badge = write_batch(
        NIGHT, tmp_path / "nightly", {"GITHUB_STEP_SUMMARY": str(page)}, title="nightly reliability"
    )
    assert page.read_text() == "before\n" + summary.read_text()
    assert "nightly reliability: 1 of 2 violated, 1 flaky" in badge.read_text()
    xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd")).validate(cases)
    assert len(ET.parse(cases).getroot()) == 6  # noqa: S314 - our own text
