"""What may stand at a path of a scenario file, read off the models: its keys and its forms in words."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.scenario.base import AlsoAlone, Form
from harness.scenario.mistake import Path, enumerated

_SCALARS: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_FEW = 3


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the things that may stand somewhere: a bare type, and what its annotation adds."""

    type: Any
    metadata: tuple[Any, ...] = ()

    @property
    def model(self) -> type[BaseModel] | None:
        """The model, where it is one."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    @property
    def one_or_many(self) -> bool:
        """Whether it is a list that may also be written as its only item."""
        return get_origin(self.type) is tuple and any(isinstance(item, AlsoAlone) for item in self.metadata)

    @property
    def form(self) -> str:
        """How it is written, in words."""
        for item in self.metadata:
            if isinstance(item, Form):
                return item.text
        if (model := self.model) is not None:
            required = [key for key, field in fields(model).items() if field.is_required()]
            if required:
                return f"a mapping with {enumerated(required, 'and')}"
            return f"a mapping ({', '.join(list(fields(model))[:_FEW])}, …)"
        origin = get_origin(self.type)
        if origin is Literal:
            return enumerated(str(value) for value in get_args(self.type))
        if origin is tuple:
            return "a list"
        return "a mapping" if origin is dict else _SCALARS.get(self.type, "a plain value")


def alternatives(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[Alternative]:
    """Take an annotation apart into what it allows; None is left out."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        yield from alternatives(inner, (*metadata, *more))
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from alternatives(member)
    elif annotation is not type(None):
        yield Alternative(annotation, metadata)


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the key they have in the file."""
    return {written_key(model, name): field for name, field in model.model_fields.items()}


def written_key(model: type[BaseModel], name: str) -> str:
    """Return the key that a field has in the file; the name itself if there is no such field."""
    field = model.model_fields.get(name)
    return (field.alias if field is not None else None) or name


def below(alternative: Alternative, part: str | int) -> tuple[Alternative, ...]:
    """Return what may stand under a key or index of something."""
    if (model := alternative.model) is not None:
        known = fields(model)
        field = known.get(str(part)) or model.model_fields.get(str(part))
        return tuple(alternatives(field.annotation, tuple(field.metadata))) if field is not None else ()
    origin, arguments = get_origin(alternative.type), get_args(alternative.type)
    if origin is dict:
        return tuple(alternatives(arguments[1]))
    if origin is tuple and isinstance(part, int):
        item = arguments[0] if arguments[-1] is Ellipsis else arguments[min(part, len(arguments) - 1)]
        return tuple(alternatives(item))
    if alternative.one_or_many:
        return tuple(deeper for item in alternatives(arguments[0]) for deeper in below(item, part))
    return ()


def at(model: type[BaseModel], path: Path) -> tuple[Alternative, ...]:
    """Return what may stand at a path of a file."""
    here: tuple[Alternative, ...] = (Alternative(model),)
    for part in path:
        here = tuple(deeper for alternative in here for deeper in below(alternative, part))
    return here


def keys(options: tuple[Alternative, ...]) -> tuple[str, ...]:
    """Return the keys that a mapping at this place may have, as far as the language says."""
    found: dict[str, None] = {}
    for option in options:
        if (model := option.model) is not None:
            found |= dict.fromkeys(fields(model))
        elif option.one_or_many:
            found |= dict.fromkeys(keys(tuple(alternatives(get_args(option.type)[0]))))
        elif get_origin(option.type) is dict:
            for key in alternatives(get_args(option.type)[0]):
                found |= dict.fromkeys(map(str, get_args(key.type)) if get_origin(key.type) is Literal else ())
    return tuple(found)


def literals(options: tuple[Alternative, ...]) -> tuple[str, ...]:
    """Return the fixed words that may stand at this place."""
    words: list[str] = []
    for option in options:
        if get_origin(option.type) is Literal:
            words += [str(value) for value in get_args(option.type)]
        elif option.type is bool:
            words += ["true", "false"]
    return tuple(words)


def forms(options: tuple[Alternative, ...]) -> str:
    """Say in words what may stand at this place: `a duration such as 2ms, dots or a mapping with random`."""
    words: dict[str, None] = {}
    for option in options:
        if option.one_or_many:
            words |= dict.fromkeys(each.form for each in alternatives(get_args(option.type)[0]))
        words[option.form] = None
    return enumerated(words) if words else "something else"
