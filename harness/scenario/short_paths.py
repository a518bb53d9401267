"""Expectations by their dotted path, as results and reports name them: `outage.publishers: < 20s` means `outage: {publishers: < 20s}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_origin

from harness.scenario.draft import Draft
from harness.scenario.expectations import Expectations
from harness.scenario.grammar import Alternative, below, fields
from harness.scenario.mistake import Mistake, Path, nearest


def dotted_keys() -> tuple[str, ...]:
    """Return the dotted paths of all expectations that a section holds, such as `latency.confirm.p99`."""
    return tuple(_dotted(Alternative(Expectations)))


def named_sections() -> tuple[str, ...]:
    """Return the sections whose keys are names of the scenario, such as `processed_by`."""
    options = ((key, below(Alternative(Expectations), key)) for key in fields(Expectations))
    return tuple(key for key, inner in options if any(get_origin(option.type) is dict for option in inner))


def spread(draft: Draft) -> Iterator[Mistake]:
    """Put every expectation with a dotted path where it belongs; yields those of which there are two, and the misspelt ones."""
    yield from _spread(draft, ("expect",), draft.data.get("expect"))
    controls = draft.data.get("controls")
    for name, control in controls.items() if isinstance(controls, dict) else ():
        if isinstance(control, dict):
            yield from _spread(draft, ("controls", name, "expect"), control.get("expect"))


def _spread(draft: Draft, at: Path, expect: object) -> Iterator[Mistake]:
    for key in [key for key in expect if "." in key] if isinstance(expect, dict) else ():
        parts = _parts(key)
        if parts is None:
            meant = nearest(key, dotted_keys())
            parts = None if meant is None else _parts(meant)
            if meant is None or parts is None:
                continue  # an unknown key like any other
            yield Mistake((*at, key), f"unknown key, did you mean {meant}?", about_key=True)
        if not draft.move((*at, key), (*at, *parts)):
            around = ".".join(parts[:-1])
            yield Mistake((*at, key), f"is given twice: {around} says something of it as well", about_key=True)
            draft.leave_out((*at, key))


def _parts(key: str) -> tuple[str, ...] | None:
    """Take a key apart, if it is the path of an expectation; names may hold dots."""
    section, _, rest = key.partition(".")
    if section in named_sections() and rest:
        return section, rest
    return tuple(key.split(".")) if key in dotted_keys() else None


def _dotted(here: Alternative, *path: str) -> Iterator[str]:
    if here.model is None:
        return
    for key in fields(here.model):
        inner = [option for option in below(here, key) if option.model is not None and not _required(option)]
        plain = all(option.model is None for option in below(here, key))
        if path and plain:
            yield ".".join((*path, key))
        for option in inner:
            yield from _dotted(option, *path, key)


def _required(option: Alternative) -> bool:
    """Whether a section needs several keys to be one, so that it cannot be said by a single path."""
    return option.model is not None and any(field.is_required() for field in option.model.model_fields.values())
