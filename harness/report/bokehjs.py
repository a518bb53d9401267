"""Charts as BokehJS, the chart library in the page, reads them.

Written without the library's models for Python, which take longer than all else of a report together: a model is the name of a class
of BokehJS and what differs from its defaults. A test reads what is written with the library itself, which knows every name and type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import bokeh


class Model:
    """An object of BokehJS. The same one in several places is one object there as well."""

    __slots__ = ("attributes", "kind")

    def __init__(self, kind: str, /, **attributes: object) -> None:
        """Name its class, and what differs from its defaults."""
        self.kind: Final = kind
        self.attributes: Final = attributes

    def set(self, **attributes: object) -> None:
        """Change attributes."""
        self.attributes.update(attributes)


@dataclass(frozen=True, slots=True)
class Field:
    """Where an attribute of marks has a value for each: the column that it is taken from."""

    column: str


@dataclass(frozen=True, slots=True)
class Value:
    """Where an attribute of marks could have a value for each: one for all."""

    value: object


def embedded(root: Model) -> dict[str, Any]:
    """Return what `Bokeh.embed.embed_item` takes."""
    document = _Document()
    roots, config = [document.written(root)], document.written(Model("DocumentConfig"))
    return {
        "target_id": None,
        "root_id": roots[0]["id"],
        "doc": {"version": bokeh.__version__, "title": "", "config": config, "roots": roots},
    }


class _Document:
    """Gives each model a name where it is first met, and writes the name wherever it is met again."""

    def __init__(self) -> None:
        self._names: dict[Model, str] = {}

    def written(self, value: Any) -> Any:  # noqa: PLR0911 - one case a type
        match value:
            case str() | int() | None:
                return value
            case float():
                return {"type": "number", "value": "nan"} if math.isnan(value) else value
            case list() | tuple():
                return [self.written(each) for each in value]
            case Mapping():
                return {"type": "map", "entries": [[key, self.written(each)] for key, each in value.items()]}
            case Field():
                return {"type": "field", "field": value.column}
            case Value():
                return {"type": "value", "value": value.value}
            case Model() if value in self._names:
                return {"id": self._names[value]}
            case Model():
                name = self._names[value] = f"p{len(self._names) + 1}"
                attributes = {key: self.written(each) for key, each in value.attributes.items()}
                return {"type": "object", "name": value.kind, "id": name, "attributes": attributes}
            case _:
                raise TypeError(f"BokehJS is told nothing of {type(value).__name__}")
