"""The scenarios that ship, and the one that `chaos init` writes."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from harness.faults.registry import actions
from harness.scenario.load import load, load_all
from harness.scenario.schema import FIRST_LINE, schema
from harness.scenario.template import TEMPLATE

FOLDER = Path(__file__).parents[2] / "scenarios"
SHIPPED = sorted(FOLDER.glob("*.yaml"))
EXPECTED = {
    "broker_kill", "broker_restart", "connection_storm", "early_ack", "fair_dispatch", "publisher_kill", "redeclare",
    "round_robin", "scale_out", "unroutable", "worker_crash_loop", "worker_kill",
}  # fmt: skip


def test_all_of_them_are_there_and_valid() -> None:
    assert {path.stem for path in SHIPPED} >= EXPECTED
    names = [one.scenario.name for one in load_all([FOLDER], actions())]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_is_explained_and_has_a_control_that_is_explained(path: Path) -> None:
    loaded = load(path, actions())
    assert loaded.scenario.name.replace(" ", "_") == path.stem
    assert len(loaded.variants()) >= 2
    for variant in loaded.variants():
        assert variant.description.endswith(".")
        assert variant.expect.model_fields_set


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_names_the_schema_in_its_first_line_and_fits_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = text.split("\n", 1)[0]
    assert first.startswith(FIRST_LINE)
    assert (path.parent / first.removeprefix(FIRST_LINE)).resolve() == FOLDER.parent / "harness/scenario/schema.json"
    jsonschema.Draft7Validator(schema(actions())).validate(YAML(typ="safe").load(text))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_strikes_by_progress_so_that_it_is_the_same_on_any_machine(path: Path) -> None:
    assert all(step.after is not None for step in load(path, actions()).scenario.timeline)


def test_the_starting_scenario_is_valid_and_fits_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    assert [variant.name for variant in load(path, actions()).variants()] == ["guarantee", "automatic acks"]
    jsonschema.Draft7Validator(schema(actions())).validate(YAML(typ="safe").load(TEMPLATE))


def test_what_the_starting_scenario_has_in_comments_is_valid_too(tmp_path: Path) -> None:
    lines = TEMPLATE.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("name:"))
    sections = {
        "  # orders": 2,
        "  # rejected": 2,
        "  # fails": 2,
        "  # - {": 2,
        "  # duplicates": 2,
        "  # recovery": 2,
    }
    shown = [
        line.replace("# ", "", 1)
        if any(line.startswith(start) for start in (*sections, "  # fairness", "# broker:"))
        else line
        for line in lines[begin:]
    ]
    path = tmp_path / "scenario.yaml"
    path.write_text("\n".join(shown), encoding="utf-8")
    scenario = load(path, actions()).scenario
    assert (len(scenario.timeline), len(scenario.queues), scenario.broker.image) == (5, 3, "rabbitmq:4-management")
    assert scenario.workers[0].fails
