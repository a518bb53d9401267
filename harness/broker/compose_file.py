"""A compose file as text: whether it is there, is one, and names a service, before Docker is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from harness.errors import UsageError
from harness.files import open_file, reason
from harness.plain import plain

MOST_BYTES: Final = 1 << 20
_ELSEWHERE: Final = frozenset({"include", "<<"})
"""Keys with which services come from elsewhere: then the text does not tell them."""


def check(file: Path, service: str | None) -> None:
    """Raise UsageError for a file that is not there or is no compose file, and for a service that it can be seen not to have."""
    text = _text(file)
    try:
        # Nodes, not values: an alias is its anchor's node, so that a bomb of them stays small, and tags of compose's own mean nothing here.
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or type(error).__name__
        raise UsageError(f"{file}{place}: the compose file cannot be read: {plain(str(what))}") from error
    top = _entries(root)
    services = _entries(top.get("services"))
    if _ELSEWHERE & (top.keys() | services.keys()):
        return
    if not services:
        raise UsageError(f"{file} is no compose file: it has no services")
    if service is not None and service not in services:
        names = plain(", ".join(sorted(services)))
        raise UsageError(
            f"{file} has no service {service!r}, but {names}; name one with --broker compose:{file}:SERVICE"
        )


def _entries(node: Node | None) -> dict[str, Node]:
    """Return a mapping's values by their keys; none of what is no mapping."""
    if not isinstance(node, MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value if isinstance(key, ScalarNode)}


def fault(file: Path) -> str | None:
    """Say why a compose file cannot be read: it is not there, or is something else. None for a file."""
    try:
        open_file(file).close()
    except (OSError, ValueError) as error:
        return _fault(file, error)
    return None


def _fault(file: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no compose file {file}"
    return f"the compose file {file} cannot be read: {reason(error)}"


def _text(file: Path) -> str:
    try:
        with open_file(file) as opened:
            content = opened.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{_fault(file, error)}; name it with --broker compose:FILE") from error
    except (OSError, ValueError) as error:
        raise UsageError(_fault(file, error)) from error
    if len(content) > MOST_BYTES:
        raise UsageError(f"{file} is too long for a compose file: more than {MOST_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeError as error:
        raise UsageError(f"the compose file {file} cannot be read: it is no UTF-8 text") from error
