"""The JSON Schema of the scenario language, so that editors complete and check while one writes.

Draft 7, which the YAML language server knows best. What a schema cannot say (names that must be those of
something, triggers that are never met) is left to the loader.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from harness.scenario.grammar import fields
from harness.scenario.quantities import QUANTITY, write_duration
from harness.scenario.scenario import Scenario, scenario_model
from harness.scenario.settings import NOT_SETTABLE
from harness.scenario.short_paths import dotted_keys, named_sections
from harness.scenario.timeline import Action, Step

FILE: Final = Path(__file__).with_name("schema.json")
"""The committed schema of the harness's own actions."""

FIRST_LINE: Final = "# yaml-language-server: $schema="
"""How a scenario begins that names its schema, for editors."""


def schema(actions: Mapping[str, type[Action]]) -> dict[str, Any]:
    """Return the JSON Schema of a scenario file for a set of known actions, by name."""
    generated = scenario_model(actions).model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions: dict[str, Any] = generated.pop("$defs")
    for name, action in actions.items():
        _name_keys(definitions[action.__name__], action)
        _allow_shorthand(definitions["Step"], name, action)
    definitions["Step"]["allOf"] = [
        {"oneOf": [{"required": [trigger]} for trigger in Step.model_fields]},
        {"oneOf": [{"required": [action]} for action in actions]},
    ]
    settable = "|".join(name for name in Scenario.model_fields if name not in NOT_SETTABLE)
    definitions["Control"]["properties"]["set"]["propertyNames"] = {"pattern": rf"^({settable})(\.|$)"}
    _allow_dotted(definitions)
    quantities: dict[str, Any] = {}
    body: dict[str, Any] = _tidied(generated | {"definitions": definitions}, quantities)
    body["definitions"] = dict(sorted((body["definitions"] | quantities).items()))
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A chaos scenario"} | body


def as_text(schema: dict[str, Any]) -> str:
    """Write a schema as it is committed."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _name_keys(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Name the properties as the file does."""
    properties = definition.get("properties", {})
    for key, (name, field) in zip(fields(model), model.model_fields.items(), strict=True):
        if (written := field.alias or name) != key:
            properties[key] = properties.pop(written)


def _allow_shorthand(step: dict[str, Any], name: str, action: type[Action]) -> None:
    """An action that looks at what it is given before its fields are read takes a text for it."""
    validators = action.__pydantic_decorators__.model_validators.values()
    if any(validator.info.mode == "before" for validator in validators):
        step["properties"][name]["anyOf"].insert(0, {"type": "string"})


def _allow_dotted(definitions: dict[str, Any]) -> None:
    """An expectation may stand under its dotted path, without the mappings around it."""
    expectations = definitions["Expectations"]
    for key in dotted_keys():
        node = expectations
        for part in key.split("."):
            node = _resolved(node["properties"][part], definitions)
        expectations["properties"][key] = copy.deepcopy(node)
    for section in named_sections():
        values = expectations["properties"][section]["additionalProperties"]
        expectations.setdefault("patternProperties", {})[rf"^{section}\..+$"] = copy.deepcopy(values)


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Follow what may be left out to the mapping that it is; a value stays as it is."""
    branches = [branch for branch in node.get("anyOf", [node]) if "$ref" in branch]
    return definitions[branches[0]["$ref"].rsplit("/", 1)[-1]] if len(branches) == 1 else node


def _tidied(node: Any, quantities: dict[str, Any]) -> Any:
    """Say it shorter and in the words of draft 7; quantities are collected and referred to."""
    if isinstance(node, list):
        return [_tidied(item, quantities) for item in node]
    if not isinstance(node, dict):
        return node
    node = _without_null(node)
    if isinstance(mark := node.get(QUANTITY), str):
        return _reference(node, mark, quantities)
    tidy: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "patternProperties", "definitions"):
            tidy[key] = {name: _tidied(each, quantities) for name, each in value.items()}
        elif key == "prefixItems":  # A tuple.
            tidy["items"] = _tidied(value, quantities)
        elif key == "minLength" and "items" in node:  # A list's, where pydantic takes it for a text's.
            tidy["minItems"] = value
        elif key == "description" and isinstance(value, str):
            tidy[key] = " ".join(value.split())
        elif key != "title" and not (key == "default" and isinstance(value, dict | list | None)):
            tidy[key] = _tidied(value, quantities)
    return tidy


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Leave out `null` where it means what leaving the key out means."""
    if node.get("default", "") is not None or {"type": "null"} not in node.get("anyOf", []):
        return node
    branches = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "default", "title")}
    return branches[0] | rest if len(branches) == 1 else rest | {"anyOf": branches}


def _reference(node: dict[str, Any], mark: str, quantities: dict[str, Any]) -> dict[str, Any]:
    name, form = mark.split(": ", 1)
    own = {key: node.pop(key) for key in ("description", "default") if key in node}
    quantities[name] = {key: value for key, value in node.items() if key not in (QUANTITY, "title")} | {
        "description": f"{form}."
    }
    if isinstance(own.get("default"), float):
        own["default"] = write_duration(own["default"])
    return {"$ref": f"#/definitions/{name}"} | own
