from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from harness.checks.combine import combine
from harness.checks.judge import judge
from harness.checks.selftest.recorded import recorded
from harness.errors import HistoryError
from harness.verdict.as_json import SCHEMA_FILE, from_json, schema, to_json
from harness.verdict.data import RunVerdict


@pytest.fixture(scope="module")
def run() -> RunVerdict:
    history, scenario = recorded()
    return combine(
        [judge(history, scenario, name="guarantee")],
        scenario="recorded",
        description="",
        file="recorded.yaml",
        seed=1,
        replay="chaos run recorded.yaml",
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
        versions={"harness": "0"},
    )


def test_there_and_back_is_the_same(run: RunVerdict) -> None:
    assert from_json(to_json(run)) == run


def test_the_committed_schema_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == schema(), "run `make schema`"


def test_a_verdict_fits_its_schema(run: RunVerdict) -> None:
    jsonschema.validate(json.loads(to_json(run)), schema())


def test_a_name_that_is_no_text_does_not_break_it(run: RunVerdict) -> None:
    assert "\\udc80" in from_json(to_json(replace(run, file="a\udc80.yaml"))).file


def test_a_verdict_of_version_1_is_read_with_nothing_where_it_has_no_figure(run: RunVerdict) -> None:
    data = json.loads(to_json(run))
    data["schema_version"] = 1
    for variant in data["variants"]:
        del (
            variant["not_done"],
            variant["counts"]["copies"],
            variant["counts"]["possible"],
            variant["counts"]["misrouted"],
        )
    found = from_json(json.dumps(data))
    assert found.schema_version == 1
    assert found.variants[0].not_done == ()
    assert found.variants[0].counts.copies == 0
    assert found.variants[0].counts.fates == run.variants[0].counts.fates


def test_a_verdict_of_version_2_is_read_without_the_figures_that_came_later(run: RunVerdict) -> None:
    data = json.loads(to_json(run))
    data["schema_version"] = 2
    for variant in data["variants"]:
        for later in ("completion_due_latency", "completion_due_latency_detail", "schedule", "broker_down"):
            del variant[later]
    found = from_json(json.dumps(data))
    assert found.schema_version == 2
    assert {each.broker_down for each in found.variants} == {None}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', "nonsense"])
def test_what_is_no_verdict_is_refused(text: str) -> None:
    with pytest.raises(HistoryError):
        from_json(text)
