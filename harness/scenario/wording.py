"""pydantic's findings in words for people, at the paths of the file rather than of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.scenario.grammar import Alternative, at, below, fields, forms, keys, literals, written_key
from harness.scenario.mistake import MOST_MISTAKES, Mistake, Path, did_you_mean, enumerated, nearest, shown
from harness.scenario.timeline import Step

_KEY: Final = "[key]"
"""How pydantic marks an error about a mapping's key."""

_QUANTITY: Final = "must be a "
"""How the messages about a quantity's form begin; where other forms may stand as well, all of them must be told."""

_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_EMPTY: Final = ("too_short", "string_too_short")
_TOO_LONG: Final = ("too_long", "string_too_long")


@dataclass(frozen=True, slots=True)
class _Finding:
    """One of pydantic's errors, located in the file."""

    error: ErrorDetails
    path: Path
    union: Path | None
    """Where the models allow several things, of which this error is about one."""
    member: str
    """Which of them, as pydantic names it: a model with validators has their names around its own."""

    def is_about(self, model: type[BaseModel]) -> bool:
        """Whether it is about a certain model among several things."""
        return re.search(rf"\b{model.__name__}\b", self.member) is not None


def mistakes(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Word a failed validation of `data`: one mistake for each thing that is wrong."""
    findings = [_locate(details, model, data) for details in error.errors(include_url=False)[: MOST_MISTAKES + 1]]
    told: set[Path] = set()
    worded: list[Mistake] = []
    for finding in findings:
        if finding.union is None:
            worded.append(_word(finding, model, data))
        elif finding.union not in told:
            told.add(finding.union)
            worded += _word_union([each for each in findings if each.union == finding.union], model, data)
    misspelt = {(*mistake.path[:-1], mistake.meant) for mistake in worded if mistake.about_key and mistake.meant}
    return (mistake for mistake in worded if mistake.path not in misspelt)


def _locate(error: ErrorDetails, model: type[BaseModel], data: Mapping[str, Any]) -> _Finding:
    """Follow an error's location through the file; what the file does not have is the models' own."""
    path: list[str | int] = []
    here: Any = data
    union: Path | None = None
    member = ""
    location = error["loc"]
    for number, part in enumerate(location):
        key = _key_for(part, here, at(model, tuple(path)))
        if key is not None:
            path.append(key)
            here = here[key]
        elif number == len(location) - 1 and error["type"] == "missing":
            path.append(part)
        elif union is None and part not in (0, _KEY) and len(at(model, tuple(path))) > 1:
            union, member = tuple(path), str(part)
    return _Finding(error, tuple(path), union, member)


def _key_for(part: str | int, here: Any, options: tuple[Alternative, ...]) -> str | int | None:
    match here, part:
        case dict(), str():
            names = {part, *(written_key(option.model, part) for option in options if option.model is not None)}
            return next((key for key in here if key in names or key.replace("_", " ") == part), None)
        case list(), int():
            return part if part < len(here) else None
        case _:
            return None


def _word(finding: _Finding, model: type[BaseModel], data: Mapping[str, Any]) -> Mistake:
    error, path, value = finding.error, finding.path, finding.error["input"]
    kind, context = error["type"], error.get("ctx", {})
    options = at(model, path)
    if kind == "extra_forbidden" or error["loc"][-1:] == (_KEY,):
        return _unknown_key(path, model, data)
    if kind == "missing":
        plain = options and not any(option.model or option.one_or_many for option in options)
        return Mistake(path, f"is missing; it is {forms(options)}" if plain else "is missing", about_key=True)
    message = ""
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        message = f"must be {words} {_plain(context[name])}, not {shown(value)}"
    elif kind in _EMPTY:
        message = "must not be empty"
    elif kind in _TOO_LONG:
        message = f"must not have more than {context['max_length']} entries"
    elif kind in ("value_error", "assertion_error"):
        message = str(context.get("error", error["msg"]))
    if message and not message.startswith(_QUANTITY):
        return Mistake(path, message)
    return _not_the_form(path, value, options, error)


def _not_the_form(path: Path, value: Any, options: tuple[Alternative, ...], error: ErrorDetails) -> Mistake:
    words = literals(options) or _expected(error)
    expected = forms(options) if options else enumerated(words or ["something else"])
    meant = nearest(_as_switch(value), words) if isinstance(value, str) and words else None
    hint = f"; did you mean {meant}?" if meant else ""
    return Mistake(path, f"must be {expected}, not {shown(value)}{hint}", meant=meant)


def _as_switch(text: str) -> str:
    """YAML 1.1 took these words for switches, YAML 1.2 takes them for texts."""
    return {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}.get(
        text.lower(), text
    )


def _word_union(findings: list[_Finding], model: type[BaseModel], data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Several things may stand here. What was meant shows by the kind of value: a mapping means one of the models."""
    union = findings[0].union
    assert union is not None  # noqa: S101 - the caller groups by it
    options = at(model, union)
    value = _at(data, union)
    if isinstance(value, dict):
        models = [option.model for option in options if option.model is not None]
        if models:
            meant = max(models, key=lambda each: _fit(value, each, findings))
            yield from (_word(each, model, data) for each in findings if each.is_about(meant))
            return
    inside = [each for each in findings if len(each.path) > len(union)]
    if isinstance(value, list) and inside:
        yield _word(inside[0], model, data)
        return
    out_of_bounds = (each for each in findings if each.path == union and each.error["type"] in _BOUNDS)
    if (bounded := next(out_of_bounds, None)) is not None:
        yield _word(bounded, model, data)
        return
    yield _not_the_form(union, value, options, findings[0].error)


def _fit(value: dict[str, Any], model: type[BaseModel], findings: list[_Finding]) -> tuple[int, int]:
    known = list(fields(model))
    near = sum(nearest(key, known) is not None for key in value)
    return near, -sum(each.is_about(model) for each in findings)


def _unknown_key(path: Path, model: type[BaseModel], data: Mapping[str, Any]) -> Mistake:
    options = at(model, path[:-1])
    word, known = str(path[-1]), keys(options)
    if (inside := _belongs_inside(word, options, _at(data, path[:-1]))) is not None:
        message = f"belongs inside {inside}, as in `{inside}: {{{word}: …}}`"
        return Mistake(path, message, about_key=True, inside=inside)
    step = any(option.model is not None and issubclass(option.model, Step) for option in options)
    message = f"unknown {'action' if step else 'key'}{did_you_mean(word, known)}"
    return Mistake(path, message, about_key=True, meant=nearest(word, known))


def _belongs_inside(word: str, options: tuple[Alternative, ...], here: Any) -> str | None:
    """Return the key beside an unknown one that takes exactly this word inside: the only one, or the only one that is given."""
    takes = [key for key in keys(options) if word in keys(tuple(deep for each in options for deep in below(each, key)))]
    given = [key for key in takes if isinstance(here, Mapping) and key in here]
    return (given or takes)[0] if len(given or takes) == 1 else None


def _at(data: Mapping[str, Any], path: Path) -> Any:
    here: Any = data
    for part in path:
        here = here[part]
    return here


def _expected(error: ErrorDetails) -> tuple[str, ...]:
    return tuple(re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", ""))))


def _plain(number: float) -> str:
    return f"{number:.15g}" if isinstance(number, float) else str(number)
