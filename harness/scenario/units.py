"""Durations that the file writes as plain numbers: right, but easily meant as milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from harness.errors import Severity
from harness.scenario.base import Form, Model
from harness.scenario.mistake import Path, Remark
from harness.scenario.quantities import A_DURATION, format_duration


def without_unit(model: Model, written: Any, path: Path = ()) -> Iterator[Remark]:
    """Find the durations of a model that are plain numbers in the file; `written` is what the file has for it."""
    if not isinstance(written, dict):  # a short form
        return
    for name, field in type(model).model_fields.items():
        key = field.alias if field.alias is not None and field.alias in written else name
        if key not in written:
            continue
        if not isinstance(written[key], dict) and _is_duration((field.annotation, *field.metadata)):
            yield from _numbers(written[key], (*path, key))
        else:
            yield from _inside(getattr(model, name), written[key], (*path, key))


def _inside(value: Any, written: Any, path: Path) -> Iterator[Remark]:
    match value, written:
        case Model(), _:
            yield from without_unit(value, written, path)
        case (Model() as single,), dict():
            yield from without_unit(single, written, path)
        case tuple(), list():
            for number, (each, text) in enumerate(zip(value, written, strict=False)):
                yield from _inside(each, text, (*path, number))
        case dict(), dict():
            for key in value.keys() & written.keys():
                yield from _inside(value[key], written[key], (*path, key))


def _numbers(written: Any, path: Path) -> Iterator[Remark]:
    match written:
        case bool() | 0:
            return
        case int() | float():
            said = f"{written} is taken as {format_duration(written)}; write the unit to be clear, as in {written}s or {written}ms"
            yield Remark(path, said, severity=Severity.NOTE)
        case list():
            for number, each in enumerate(written):
                yield from _numbers(each, (*path, number))


def _is_duration(annotation: tuple[Any, ...]) -> bool:
    """Whether a type, or a part of it, is written as a duration."""
    return any(
        each.text == A_DURATION if isinstance(each, Form) else _is_duration(get_args(each)) for each in annotation
    )
