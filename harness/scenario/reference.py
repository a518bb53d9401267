"""The reference of the scenario language as a Markdown page, made of the JSON Schema: every key, what may stand there, its default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

HEAD: Final = """\
# Scenario reference

<!-- Written by `make schema` out of the models of the scenario language. -->

A scenario is a YAML file. This page lists every key of it: what may stand there, what holds if it is left out, and what it means.
`chaos init` writes a commented file to start from, and `chaos validate` tells each mistake with its line and column. Unknown keys are
mistakes, and so are YAML's anchors, aliases, merge keys and tags.

A duration has a unit: `us`, `ms`, `s`, `m` or `h`. A plain number counts seconds, so that `work: 5` is five seconds of work; `chaos validate`
makes a note of each.

In these pages a block that begins with `# part of a scenario` shows a few keys of a file; the others are whatever the scenario has.

Some actions have a short form: `kill: broker`, `kill: worker-2`, `pause: worker`, `close: connections`, `publish: First message.`,
`purge: tasks`.

A control's `set` names a setting by its path: `publishers.persistent`, `queues.tasks.durable`, `timeline.0.scale.to` (steps are counted
from 0), or `workers.slow.prefetch` for the group called slow.

An expectation inside a section may also be written by its path, as results name it: `outage.publishers: "< 20s"` under `expect` says the
same as `outage: {publishers: "< 20s"}`.
"""

_PLAIN: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "`null`",
}
_ROOT: Final = "Top level"


def reference(schema: Schema) -> str:
    """Write the page for a schema that `harness.scenario.schema.schema` made."""
    definitions: Schema = schema["definitions"]
    sections = _sections(schema, definitions)
    titles = {name: title for title, names in sections.items() for name in names}
    parts = [HEAD]
    for title, names in sections.items():
        tables = [schema if name == _ROOT else definitions[name] for name in names]
        parts += [f"## {title}\n", *(f"{text}\n" for each in tables if (text := _cell(each.get("description", ""))))]
        parts += ["| key | value | if left out | meaning |", "|---|---|---|---|"]
        parts += [row for each in tables for row in _rows(each, definitions, titles)]
        parts.append("")
    parts += ["## Quantities and comparisons\n", "| kind | form | examples |", "|---|---|---|"]
    for name, each in definitions.items():
        if "properties" not in each:
            examples = ", ".join(f"`{example}`" for example in each["examples"])
            parts.append(f"| {name.lower()} | {_cell(each['description'].rstrip('.'))} | {examples} |")
    return "\n".join(parts) + "\n"


def _sections(schema: Schema, definitions: Schema) -> dict[str, list[str]]:
    """Return the definitions under the path at which they are first met, in the order of the schema."""
    found: dict[str, list[str]] = {_ROOT: [_ROOT]}
    known: set[str] = set()

    def visit(node: Schema, path: str) -> None:
        for key, value in node.get("properties", {}).items():
            own = f"{path}.{key}" if path else key
            for name, below in _objects(value, own):
                if name not in known and "properties" in definitions[name]:
                    known.add(name)
                    found.setdefault(f"`{below}`", []).append(name)
                    visit(definitions[name], below)

    visit(schema, "")
    return found


def _objects(node: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Find the definitions that may stand somewhere, each with its path."""
    if "$ref" in node:
        yield _name(node), path
    for option in node.get("anyOf", ()):
        yield from _objects(option, path)
    if isinstance(items := node.get("items"), dict):
        yield from _objects(items, path)
    if isinstance(values := node.get("additionalProperties"), dict):
        yield from _objects(values, f"{path}.NAME")


def _rows(node: Schema, definitions: Schema, titles: Mapping[str, str]) -> Iterator[str]:
    required = node.get("required", ())
    for key, value in node.get("properties", {}).items():
        if "." in key:
            continue  # the same as a key of a section, which has a table of its own
        default = value.get("default")
        left_out = "must be given" if key in required else "" if default in (None, "") else f"`{_yaml(default)}`"
        kind = _value(value, definitions, titles)
        yield f"| `{key}` | {kind} | {left_out} | {_cell(value.get('description') or _described(value, definitions))} |"


def _value(node: Schema, definitions: Schema, titles: Mapping[str, str]) -> str:
    match node:
        case {"$ref": _}:
            name = _name(node)
            known = name in titles
            said = f"[a mapping](#{_anchor(titles[name])})" if known else _cell(definitions[name]["description"])
            return said.rstrip(".")
        case {"anyOf": options}:
            return " or ".join(dict.fromkeys(_value(option, definitions, titles) for option in options))
        case {"enum": [*values]} | {"const": values}:
            return ", ".join(f"`{_yaml(value)}`" for value in (values if isinstance(values, list) else [values]))
        case {"type": "array" | "object"}:
            return _several(node, definitions, titles)
        case {"type": str(kind)}:
            return _PLAIN[kind] + _bounds(node)
        case _:
            return "any value"


def _several(node: Schema, definitions: Schema, titles: Mapping[str, str]) -> str:
    match node:
        case {"items": [*items]}:
            return "a list: " + ", ".join(_value(item, definitions, titles) for item in items)
        case {"items": items}:
            return f"a list, each {_value(items, definitions, titles)}"
        case {"additionalProperties": dict(values)}:
            return f"names, each with {_value(values, definitions, titles)}"
        case _:
            return "names, each with a value"


def _bounds(node: Schema) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    most, below = node.get("maximum"), node.get("exclusiveMaximum")
    said = []
    if low is not None:
        said.append(f"from {low:,}")
    if above is not None:
        said.append(f"above {above:,}")
    if most is not None:
        said.append(f"to {most:,}")
    if below is not None and below < 2**62:
        said.append(f"below {below:,}")
    return f" {' '.join(said)}" if said else ""


def _described(node: Schema, definitions: Schema) -> str:
    return str(definitions[_name(node)].get("description", "")) if "$ref" in node else ""


def _name(node: Schema) -> str:
    return str(node["$ref"]).rsplit("/", 1)[-1]


def _anchor(title: str) -> str:
    return title.lower().replace("`", "").replace(".", "").replace(" ", "-")


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
