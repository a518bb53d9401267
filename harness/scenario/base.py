"""What every model of the scenario language shares: no unknown keys, no guessing of types, nothing changes once read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict, StringConstraints, model_serializer
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core.core_schema import CoreSchema, SerializerFunctionWrapHandler

T = TypeVar("T")


class Model(BaseModel):
    """Base of the language's models.

    Types are strict: in YAML 1.2 `yes` and `"1"` are texts, and a text that is quietly taken for a switch or a number
    would make the loader accept what editors mark as wrong. Written out again, a model leaves out what is not set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True, defer_build=True)
    """Subclasses that check several fields against each other say what they can of it in `json_schema_extra`."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            if field.default is None and getattr(self, name) is None:
                written.pop(name, None)
                written.pop(field.alias or name, None)
        return written

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        from harness.scenario.docstrings import field_docstrings  # noqa: PLC0415 - only a schema needs them

        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in field_docstrings(cls).items():
            field = cls.model_fields.get(name)
            if field is not None and field.description is None:
                properties[field.alias or name].setdefault("description", text)
        return schema


M = TypeVar("M", bound=Model)


def with_nothing_set(model: type[M]) -> M:
    """Return a model with all its defaults, for a field that holds it: a call would build its validator at import, for this alone."""
    return cast("M", model.model_construct())  # pydantic's plugin for mypy names the base


@dataclass(frozen=True, slots=True)
class Form:
    """Annotates a type with how people write it; error messages say `must be <text>`."""

    text: str


@dataclass(frozen=True, slots=True)
class AlsoAlone:
    """Says in the JSON Schema that a list of one may be written without the list."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(core_schema)
        return {"anyOf": [many["items"], many]}


def _one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, dict | BaseModel) else value


Prose = Annotated[str, StringConstraints(strip_whitespace=True)]
"""A text for people; how the file folds its lines leaves no trace at its ends."""

Many = Annotated[tuple[T, ...], Strict(False)]
"""A list in the file, a tuple in the model."""

OneOrMany = Annotated[tuple[T, ...], Strict(False), BeforeValidator(_one_is_a_list), AlsoAlone()]
"""A list of mappings in the file, or a single mapping; a tuple in the model."""
