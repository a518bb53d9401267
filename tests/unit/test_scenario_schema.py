"""The JSON Schema is current, takes what the loader takes, and refuses what it can of what the loader refuses."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from ruamel.yaml import YAML

from harness.faults.registry import actions
from harness.scenario import schema as making
from tests.unit.scenario_samples import MISTAKES, Case
from tests.unit.scenario_strategies import scenarios

COMMITTED = json.loads(making.FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(COMMITTED)


def test_the_committed_schema_is_current() -> None:
    current = making.as_text(making.schema(actions()))
    assert making.FILE.read_text(encoding="utf-8") == current, (
        "write it anew: chaos schema > harness/scenario/schema.json"
    )


def test_it_is_a_schema_of_draft_7_with_every_reference_resolved() -> None:
    jsonschema.Draft7Validator.check_schema(COMMITTED)
    text = making.FILE.read_text(encoding="utf-8")
    used = {part.split('"')[0] for part in text.split('"#/definitions/')[1:]}
    assert used == set(COMMITTED["definitions"])


@pytest.mark.parametrize("case", [case for case in MISTAKES if case.schema], ids=lambda case: case.name)
def test_it_refuses_what_the_loader_refuses_for_its_form(case: Case) -> None:
    assert not VALIDATOR.is_valid(YAML(typ="safe").load(case.text))


@given(data=scenarios())
def test_it_takes_what_the_loader_takes(data: dict[str, Any]) -> None:
    VALIDATOR.validate(data)


def _objects(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        return [found for item in node for found in _objects(item, path)]
    if not isinstance(node, dict):
        return []
    own = [(path, node)] if "properties" in node and "type" in node else []
    return own + [found for key, item in node.items() for found in _objects(item, f"{path}/{key}")]


def test_no_mapping_takes_unknown_keys() -> None:
    found = _objects(COMMITTED)
    assert len(found) > 20
    assert [path for path, node in found if node.get("additionalProperties") is not False] == []


def test_every_key_of_the_language_is_described() -> None:
    ours = {
        name: node
        for name, node in COMMITTED["definitions"].items()
        if name not in {a.__name__ for a in actions().values()}
    }
    missing = [
        f"{name}.{key}"
        for name, node in (ours | {"scenario": COMMITTED}).items()
        for key, value in node.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert missing == []
