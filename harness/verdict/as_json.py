"""The verdict as JSON, exactly there and back, and its JSON Schema."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import HistoryError
from harness.files import parse_json
from harness.plain import plain, shortened
from harness.verdict.data import SCHEMA_VERSION, RunVerdict

SAID_LENGTH = 300
SCHEMA_FILE = Path(__file__).with_name("verdict.schema.json")


@cache
def _adapter() -> TypeAdapter[RunVerdict]:
    return TypeAdapter(RunVerdict)


def to_json(run: RunVerdict) -> str:
    """Write a verdict. Bytes of a file name that are no text are shown as escapes: JSON cannot hold lone surrogates."""
    return json.dumps(_texts(asdict(run)), indent=2, ensure_ascii=False)


def _texts(value: Any) -> Any:
    match value:
        case str():
            return str(value).encode(errors="backslashreplace").decode()
        case dict():
            return {_texts(key): _texts(item) for key, item in value.items()}
        case list() | tuple():
            return [_texts(item) for item in value]
        case _:
            return value


def from_json(text: str) -> RunVerdict:
    """Read a verdict, of this version or an older one: what that does not have is empty. Raises HistoryError for anything else."""
    try:
        data = parse_json(text)
        version = data.get("schema_version")
        if version == 1:
            for variant in data["variants"]:
                variant.setdefault("not_done", [])
                variant.setdefault("duplicate_causes", [])
                for cause in variant["causes"]:
                    cause.setdefault("settings", [])
            return _adapter().validate_json(json.dumps(data))
        if version not in (2, SCHEMA_VERSION):
            raise HistoryError(f"the verdict has schema version {version}; this harness reads 1 to {SCHEMA_VERSION}")
        return _adapter().validate_json(text)
    except (ValueError, AttributeError, KeyError, TypeError, ValidationError) as error:
        reason = _first(error)
        raise HistoryError(f"this is no verdict.json of this harness: {reason}") from error


def _first(error: Exception) -> str:
    """Say on one line what is wrong, and where, if it is the type of a field."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return shortened(plain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"), SAID_LENGTH)
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return shortened(plain(str(error)), SAID_LENGTH)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of verdict.json."""
    described = _adapter().json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "verdict.json of a chaos run",
        **described,
    }
