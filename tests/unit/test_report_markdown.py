from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.annotations import annotation_lines
from harness.report.markdown import LIMIT_BYTES, append_to_job_summary, cut, escaped, markdown
from harness.verdict.data import Outcome, RunVerdict
from tests.unit import report_samples as samples


def test_the_verdict_comes_first_then_a_row_for_each_variant() -> None:
    lines = markdown(samples.passing().run).splitlines()
    assert lines[0] == "## ✅ broker restart: as expected"
    assert lines[2].startswith("**40 tasks: all done across 1 broker restart; loss rate below 7.2% at 95%.")
    assert "| guarantee |  | lost 0 | 0 | ✅ as expected |" in lines
    assert "| transient messages | publishers.persistent: false | lost &gt;= 1 | 5 | ✅ as expected |" in lines
    assert lines.count("<details>") == lines.count("</details>") == 3


def test_a_violation_is_told_with_its_cause() -> None:
    text = markdown(samples.failing().run)
    assert "| guarantee |  | lost 0 | **312** (not ok) | ❌ violated |" in text
    assert "- 312 messages were lost at worker-1" in text


def test_every_fate_has_its_figure_and_what_is_only_possible_its_bounds() -> None:
    text = markdown(samples.every_fate().run)
    (line,) = [line for line in text.splitlines() if line.startswith("- ") and " published, " in line]
    for said in (
        "3 to 5 lost",
        "14 never promised",
        "15 stranded",
        "16 dead-lettered",
        "17 expired",
        "16 to 18 dropped",
        "19 in transit",
        "20 removed",
        "21 retained",
    ):
        assert f" {said}," in line
    assert "- 17 messages expired by the time to live of tasks." in text
    assert "- 4 done twice." in text


def test_lost_messages_and_those_done_twice_are_named_with_the_way_to_their_lives() -> None:
    lines = markdown(samples.every_fate().run).splitlines()
    assert "- lost: publisher-1&#35;20, publisher-1&#35;21, publisher-1&#35;22" in lines
    assert any(line.startswith("- done more than once: publisher-1&#35;0, ") for line in lines)
    assert (
        "- the life of one: <code>chaos trace RUN publisher-1&#35;20</code>, where RUN is the run's directory" in lines
    )


def test_a_fault_is_told_with_how_long_it_lasted_and_when_work_went_on() -> None:
    sample = samples.passing()
    variant = sample.run.variants[0]
    fault = replace(variant.faults[0], injected_s=1.0, healable=True, healed_s=11.0, at_risk=10, taken=0)
    said = "restart n1 at 1.00 s, lasted 10 s, 10 at risk, took 0"
    for recovery_s, end in ((0.02, ", next work 20 ms after its end"), (None, "")):
        faults = (replace(fault, title="restart n1", recovery_s=recovery_s),)
        told = markdown(replace(sample.run, variants=(replace(variant, faults=faults),)))
        assert f"- {said}{end}" in told.splitlines()


def test_what_the_scenario_does_not_state_is_marked_where_it_does_not_hold() -> None:
    text = markdown(samples.every_fate().run)
    assert "dropped 0 (not stated)<br>" in text
    assert "lost 0<br>" in text, "that nothing may be lost goes without saying"


def test_messages_and_copies_are_both_said_where_they_differ() -> None:
    text = markdown(samples.fan_out().run)
    assert "**20 tasks in 40 copies: 33 done, 7 lost" in text
    assert "- 20 messages published, 40 copies, 20 confirmed, 33 processed, 7 lost, " in text
    assert "- bills: 20 processed\n- counts: 13 processed, 7 lost\n" in text
    assert "copies" not in markdown(samples.failing().run)


@pytest.mark.parametrize("name", samples.ALL)
def test_details_are_balanced_in_every_run(name: str) -> None:
    text = markdown(samples.ALL[name]().run)
    assert text.count("<details>") == text.count("</details>")


def test_hostile_text_is_no_markup() -> None:
    text = markdown(samples.hostile().run)
    assert "<script" not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\u2066]", text)
    assert "@everyone" not in text
    assert "https://" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(row.count("|") == 6 for row in rows), "a pipe in a name is no new column"


def test_escaping_leaves_ordinary_text_alone() -> None:
    assert escaped("kill worker-2 at 0.5 s: 12 lost (10%).") == "kill worker-2 at 0.5 s: 12 lost (10%)."
    assert escaped("a*b_c`d`[e](f)|&") == "a&#42;b&#95;c&#96;d&#96;&#91;e&#93;(f)&#124;&amp;"


def many_variants() -> RunVerdict:
    run = samples.failing(3).run
    variant = replace(run.variants[0], reasons=tuple("reason " + "x" * 1000 for _ in range(200)))
    return replace(run, variants=(variant,) * 10)


def test_a_summary_too_long_is_cut_at_a_whole_line_and_says_so() -> None:
    whole = markdown(many_variants(), limit=10 * LIMIT_BYTES)
    text = markdown(many_variants())
    assert len(whole.encode()) > LIMIT_BYTES
    assert LIMIT_BYTES - 2000 < len(text.encode()) <= LIMIT_BYTES, "as much as there is room for"
    assert text.count("<details>") == text.count("</details>") > 0
    said = text.splitlines()[-1]
    assert "report.html has everything" in said
    kept = [line for line in text.splitlines() if line and line not in (said, "</details>")]
    assert set(kept) <= set(whole.splitlines())


@pytest.mark.parametrize("limit", [400, 1000, 3000])
def test_a_cut_closes_what_it_cut_open(limit: int) -> None:
    lines = ["<details>", "x" * 100, "<details>", *("y" * 50 for _ in range(99)), "</details>", "</details>"]
    text = cut(lines, limit)
    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>") == 2


def test_what_fits_is_not_cut() -> None:
    lines = ["<details>", "ä", "</details>"]
    size = len("\n".join([*lines, ""]).encode())
    assert cut(lines, size) == "<details>\nä\n</details>\n"
    assert "Cut here" in cut(["x" * 200, *lines], size + 200)


def test_a_job_gets_the_summary_appended(tmp_path: Path) -> None:
    page = tmp_path / "summary"
    page.write_text("before\n")
    assert append_to_job_summary(lambda _limit: "mine\n", {"GITHUB_STEP_SUMMARY": str(page)}) == page
    assert page.read_text() == "before\nmine\n"
    assert append_to_job_summary(lambda _limit: "mine\n", {}) is None


def test_a_jobs_summary_never_outgrows_what_the_page_holds(tmp_path: Path) -> None:
    page = tmp_path / "summary"
    environment = {"GITHUB_STEP_SUMMARY": str(page)}
    for _ in range(3):
        append_to_job_summary(lambda limit: markdown(many_variants(), limit=limit), environment)
    assert LIMIT_BYTES - 2000 < page.stat().st_size <= LIMIT_BYTES


def line_of(variant: str, path: str) -> int | None:
    return {("guarantee", "lost"): 17}.get((variant, path))


def test_a_failed_expectation_is_annotated_at_its_line() -> None:
    (line,) = annotation_lines(samples.failing().run, line_of)
    assert line.startswith(
        "::error file=scenarios/worker_kill.yaml,line=17,title=worker kill%3A violated::"
        "guarantee: lost: expected 0, observed 312%0A312 messages were lost at worker-1"
    )


def test_an_expectation_without_a_line_is_annotated_at_the_first() -> None:
    (line,) = annotation_lines(samples.failing().run, lambda _variant, _path: None)
    assert ",line=1," in line


def test_what_was_not_done_is_annotated_with_its_own_sentences() -> None:
    found = {
        line.split("::")[2].split(":")[1].strip(): line for line in annotation_lines(samples.every_fate().run, line_of)
    }
    assert found.keys() == {"lost", "expired", "dropped", "removed", "retained", "dead_lettered"}
    assert found["dropped"].endswith(
        "guarantee: dropped: expected 0, observed 18%0A"
        "16 messages were dropped by the length limit of tasks.%0A2 messages may have been dropped by the length limit of tasks."
    )
    assert found["removed"].endswith("20 messages were removed from tasks by `purge tasks`.")
    assert "were lost at worker-1" in found["lost"]
    assert "dropped" not in found["lost"]


def test_what_is_as_expected_is_not_annotated() -> None:
    assert annotation_lines(samples.passing().run, line_of) == []


@pytest.mark.parametrize("name", ["infrastructure", "interrupted", "without variants"])
def test_what_failed_otherwise_is_annotated_once(name: str) -> None:
    (line,) = annotation_lines(samples.ALL[name]().run, line_of)
    assert line.startswith("::error file=")


def test_what_is_inconclusive_is_a_warning() -> None:
    run = samples.passing().run
    variant = replace(run.variants[0], outcome=Outcome.INCONCLUSIVE)
    (line,) = annotation_lines(replace(run, variants=(variant,)), line_of)
    assert line.startswith("::warning ")


def test_hostile_text_makes_no_second_command() -> None:
    for line in annotation_lines(samples.hostile().run, line_of):
        assert "\n" not in line
        assert "\r" not in line
        assert "\x1b" not in line
        properties = line.removeprefix("::error ").split("::")[0]
        assert [part.split("=")[0] for part in properties.split(",")] == ["file", "line", "title"]
