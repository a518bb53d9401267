from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from harness.report.junit import junit
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def parsed(name: str) -> ET.Element:
    return ET.fromstring(junit(samples.ALL[name]().run))  # noqa: S314 - our own text


def cases(root: ET.Element) -> dict[str, ET.Element | None]:
    return {case.attrib["name"]: next(iter(case), None) for case in root.iter("testcase")}


@pytest.mark.parametrize("name", samples.ALL)
def test_every_run_is_valid_and_its_counts_are_right(name: str) -> None:
    SCHEMA.validate(junit(samples.ALL[name]().run))
    root = parsed(name)
    assert root.tag == "testsuites"
    (suite,) = root
    found = list(suite.iter("testcase"))
    assert int(suite.attrib["tests"]) == len(found) > 0
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[kind]) == len(list(suite.iter(tag)))
    assert suite[0].tag == "properties", "properties come first"
    assert all(float(case.attrib["time"]) >= 0 for case in found)
    assert len({case.attrib["name"] for case in found}) == len(found) or name == "hostile"


def test_guarantee_and_controls_are_cases_of_one_suite() -> None:
    found = cases(parsed("passing"))
    assert found["guarantee: lost 0"] is None
    assert found["transient messages: lost >= 1"] is None
    assert found["non-durable queue: lost >= 1"] is None
    assert set(found.values()) == {None}


def test_a_failure_has_the_cause_and_the_command_that_replays_it() -> None:
    failure = cases(parsed("failing"))["guarantee: lost 0"]
    assert failure is not None
    assert (failure.tag, failure.attrib["message"]) == ("failure", "expected 0, observed 312")
    assert "312 messages were lost at worker-1" in (failure.text or "")
    assert "expected in scenarios/worker_kill.yaml\n" in (failure.text or "")
    assert "replay: chaos run scenarios/sample.yaml --seed 42" in (failure.text or "")


def test_every_fate_is_a_property_and_every_reason_stands_in_the_failure() -> None:
    root = parsed("every fate")
    found = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    run = samples.every_fate().run
    for fate, count in run.variants[0].counts.fates.items():
        assert found[f"guarantee.{fate.value}"] == str(count)
    assert found["guarantee.copies"] == found["guarantee.published"]
    assert found["guarantee.dropped, possibly lost"] == "2"
    failure = cases(root)["guarantee: dropped 0"]
    assert failure is not None
    assert failure.attrib["message"] == "expected 0, observed 18"
    for sentence in run.variants[0].explained:
        assert sentence in (failure.text or "")


def test_copies_are_a_property_of_their_own() -> None:
    found = {each.attrib["name"]: each.attrib["value"] for each in parsed("fan-out").iter("property")}
    assert (found["guarantee.published"], found["guarantee.copies"]) == ("20", "40")


def test_an_interval_that_decides_nothing_is_skipped_as_undecided() -> None:
    run = samples.failing(3).run
    variant = run.variants[0]
    unsure = tuple(replace(each, holds=None, observed="0 to 2") for each in variant.expectations if each.path == "lost")
    root = ET.fromstring(junit(replace(run, variants=(replace(variant, expectations=unsure),))))  # noqa: S314 - ours
    skipped = cases(root)["guarantee: lost 0"]
    assert skipped is not None
    assert (skipped.tag, skipped.attrib["message"]) == ("skipped", "undecided: 0 to 2")


def test_a_failure_names_its_line_where_it_is_known() -> None:
    run = samples.failing().run
    text = junit(run, line_of=lambda _run, variant, path: {("guarantee", "lost"): 17}.get((variant, path)))
    assert "expected in scenarios/worker_kill.yaml:17\n" in text


def test_several_runs_are_suites_of_one_document() -> None:
    runs = [samples.ALL[name]().run for name in ("passing", "failing", "infrastructure")]
    text = junit(*runs)
    SCHEMA.validate(text)
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert [suite.attrib["name"] for suite in root] == [run.scenario for run in runs]
    assert [suite.attrib["file"] for suite in root] == [run.file for run in runs]
    for count in ("tests", "failures", "errors"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root) > 0


@pytest.mark.parametrize(
    "text",
    [
        '<testsuites><testsuite name="x" tests="0" failures="0"/></testsuites>',
        '<testsuites skipped="1"/>',
        '<testsuites><testcase name="x"/></testsuites>',
        '<testsuite name="x" tests="1" failures="0" errors="0"><testcase name="x" line="3"/></testsuite>',
        '<testsuite name="x" tests="1" failures="0" errors="0" time="1e-05"/>',
        '<testsuite name="x" tests="0" failures="0" errors="0"><properties><property name="x"/></properties></testsuite>',
    ],
)
def test_the_schema_refuses_what_jenkins_refuses(text: str) -> None:
    assert not SCHEMA.is_valid(text)


def test_broken_infrastructure_is_an_error_and_proves_no_expectation() -> None:
    found = cases(parsed("infrastructure"))
    error = found.pop("guarantee: the run comes to its end and proves something")
    assert error is not None
    assert (error.tag, error.attrib["type"]) == ("error", "infrastructure")
    assert "did not answer within 60 s" in error.attrib["message"]
    assert {each.tag for each in found.values() if each is not None} == {"skipped"}
    assert None not in found.values()


def test_what_is_inconclusive_is_skipped_not_passed() -> None:
    run = samples.passing().run
    variant = replace(run.variants[0], outcome=Outcome.INCONCLUSIVE, headline="no message was at risk")
    root = ET.fromstring(junit(replace(run, variants=(variant,))))  # noqa: S314 - our own text
    assert {each.attrib["message"] for each in root.iter("skipped")} == {"no message was at risk"}
    assert all(next(iter(case)).tag == "skipped" for case in root.iter("testcase"))


def test_a_run_interrupted_before_anything_is_one_error() -> None:
    (error,) = parsed("without variants").iter("error")
    assert error.attrib["type"] == "interrupted"


def test_properties_tell_what_ran() -> None:
    root = parsed("failing")
    found = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    assert found["seed"] == "42"
    assert found["guarantee.lost"] == "312"
    assert found["version.rabbitmq"] == "4.0.5"
    latency = samples.failing().run.variants[0].completion_latency
    assert latency is not None
    assert float(found["guarantee.completion_p99_s"]) == pytest.approx(latency.p99, abs=1e-6)
    assert found["guarantee.outage_publishers_s"] == "0.000000"


def test_hostile_text_keeps_to_its_place() -> None:
    text = junit(samples.hostile().run)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\u202e]", text)
    root = ET.fromstring(text)  # noqa: S314 - our own text
    SCHEMA.validate(text)
    assert "<script>" in root[0].attrib["name"]
