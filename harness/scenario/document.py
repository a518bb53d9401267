"""A YAML file as plain values, with the place of every key and value.

YAML 1.2 without what makes a file surprising: no anchors, no merge keys, no tags, no key given twice. All of them are
reported with their place; only a syntax error ends the reading at once.
"""

from __future__ import annotations

import errno
import math
import os
import re
import select
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

from harness.errors import Problem
from harness.scenario.mistake import Mistake, Path, Remark, dotted, shown

_LINE_END: Final = re.compile("\r\n|\r|\n")
LARGEST_FILE: Final = 1 << 20
"""Bytes; the limit also ends the reading of a file that never ends."""
LONGEST_WAIT_S: Final = 10.0
"""For whoever writes to a pipe that is read as a scenario."""
DEEPEST_NESTING: Final = 40
_DEEPEST_SCANNED: Final = 2 * DEEPEST_NESTING
"""What is a little too deep is told with its path."""

_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A file's content: nested dicts, lists and scalars. `mistakes` are those of form, found while reading."""

    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    mistakes: list[tuple[Place, Mistake]] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return the place of a key or value; of the nearest thing around it if the file does not have it."""
        written, known = self._written(path), self._in_file(path)
        exact = written == known and not key
        return self.values[known] if exact else self.keys.get(known, self.values.get(known, Place(1, 1)))

    def problem(self, file: str, remark: Remark) -> Problem:
        """Give a mistake or a warning its place, and its path as the file has it."""
        place, path = self.place(remark.path, key=remark.about_key), dotted(self._written(remark.path))
        return Problem(file, place.line, place.column, path, remark.message, remark.severity)

    def _in_file(self, path: Path) -> Path:
        """Return as much of a path as the file has."""
        found: Path = ()
        for part in self._written(path):
            if (*found, part) not in self.values:
                break
            found = (*found, part)
        return found

    def _written(self, path: Path) -> Path:
        """Follow a path of the models through the file, which may have a single group for a list, or a shorthand."""
        here = self.data
        written: list[str | int] = []
        for part in path:
            match here, part:
                case dict(), str():
                    name = next((key for key in (part, part.replace("_", " ")) if key in here), part)
                    here = here.get(name)
                    written.append(name)
                case dict(), _:
                    continue
                case list(), int() if part < len(here):
                    here = here[part]
                    written.append(part)
                case None, _:
                    written.append(part)
                case _:
                    break  # A shorthand: what the models have below it is in the one value.
        return tuple(written)


def read(path: FilePath) -> str | Problem:
    """Read a file's text, or say why that cannot be done."""
    try:
        content = _content(path)
    except OSError as error:
        return Problem(str(path), 0, 0, "", f"cannot be read: {(error.strerror or str(error)).lower()}")
    except ValueError:
        return Problem(str(path), 0, 0, "", "cannot be read: this is no file name")
    if len(content) > LARGEST_FILE:
        return Problem(str(path), 0, 0, "", f"is larger than {LARGEST_FILE >> 20} MiB: this is no scenario")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        place = _place_in(before, len(before))
        message = f"is not UTF-8 text: byte 0x{content[error.start]:02x} is out of place"
        return Problem(str(path), place.line, place.column, "", message)


def _content(path: FilePath) -> bytes:
    """Read a file up to the limit; a pipe may be one, and is not waited for longer than `LONGEST_WAIT_S`. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    content = b""
    try:
        while len(content) <= LARGEST_FILE:
            try:
                part = os.read(descriptor, LARGEST_FILE + 1 - len(content))
            except BlockingIOError:
                ready, _, _ = select.select([descriptor], [], [], LONGEST_WAIT_S)
                if not ready:
                    raise OSError(errno.ETIMEDOUT, f"nothing came for {LONGEST_WAIT_S:g} s") from None
                continue
            if not part:
                break
            content += part
    finally:
        os.close(descriptor)
    return content


def parse(text: str, file: str) -> Document | Problem:
    """Read a text as YAML; a Problem if it is none, or if it holds no mapping."""
    root = _compose(text, file)
    if isinstance(root, Problem):
        return root
    if root is None:
        return Problem(file, 0, 0, "", "is empty; `chaos init` writes a scenario to start from")
    document = Document()
    document.data = _Reading(document).value(root, ())
    if not isinstance(document.data, dict) and not document.mistakes:
        place = _place(root)
        return Problem(file, place.line, place.column, "", f"a scenario is a mapping, not {shown(document.data)}")
    return document


def _compose(text: str, file: str) -> Node | Problem | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of anchors given twice: anchors are refused below
            yaml = YAML(typ="safe", pure=True)
            yaml.Scanner = _Scanner
            root: Node | None = yaml.compose(text)
    except ReaderError as error:
        place = _place_in(text, error.position)
        message = f"holds the control character U+{ord(text[error.position]):04X}"
        return Problem(file, place.line, place.column, "", message)
    except MarkedYAMLError as error:
        return _syntax_problem(error, text, file)
    except _NestedTooDeepError as error:
        return Problem(file, error.line, error.column, "", f"is nested deeper than {DEEPEST_NESTING} levels")
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, AssertionError):
        # What the parser raises on a few malformed directives and tags, without a place.
        return Problem(file, 0, 0, "", "is no valid YAML")
    return root


class _NestedTooDeepError(Exception):
    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line, self.column = line, column


class _Scanner(Scanner):
    """Stops where a file is nested far too deep: the scanner's time grows with the square of the depth, and the parser recurses."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: Any) -> None:  # noqa: N803 - the base class's name
        self._look()
        super().fetch_flow_collection_start(TokenClass, to_push)

    def add_indent(self, column: int) -> bool:
        self._look()
        return super().add_indent(column)

    def _look(self) -> None:
        if len(self.flow_context) + len(self.indents) > _DEEPEST_SCANNED:
            raise _NestedTooDeepError(self.reader.line + 1, self.reader.column + 1)


class _Reading:
    """Turns nodes into plain values, noting places and mistakes of form."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def value(self, node: Node, path: Path) -> Any:
        self._document.values[path] = _place(node)
        if node.anchor is not None:
            self._wrong(
                node, path, f"anchors (&{node.anchor}) are not used here; write the value out where it is needed"
            )
            return None
        if len(path) > DEEPEST_NESTING:
            self._wrong(node, path, f"is nested deeper than {DEEPEST_NESTING} levels")
            return None
        match node:
            case MappingNode() if node.tag == f"{_TAG}map":
                return self._mapping(node, path)
            case SequenceNode() if node.tag == f"{_TAG}seq":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
            case _:
                self._tagged(node, path)
                return None

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._wrong(key_node, path, "a key is a plain text, not a list or a mapping")
                continue
            key, below = key_node.value, (*path, key_node.value)
            if key == "<<" and key_node.style is None:
                self._wrong(key_node, path, "merge keys (<<) are not used here; write the keys out")
            elif not key.isprintable():
                self._wrong(key_node, path, f"the key {shown(key)} holds a character that cannot be printed")
            elif key_node.anchor is not None:
                self._wrong(key_node, path, "anchors are not used here")
            elif key in mapping:
                first = self._document.keys[below].line
                self._wrong(key_node, below, f"is given twice; the first one is in line {first}")
            else:
                self._document.keys[below] = _place(key_node)
                mapping[key] = self.value(value_node, below)
                if isinstance(value_node, ScalarNode) and value_node.value == "" and value_node.style is None:
                    # The parser puts an empty value where the next thing begins.
                    self._document.values[below] = _place(key_node)
        return mapping

    def _scalar(self, node: ScalarNode, path: Path) -> str | int | float | bool | None:
        read = _SCALARS.get(str(node.tag).removeprefix(_TAG))
        if read is None:
            self._tagged(node, path)
            return None
        try:
            return read(node.value)
        except ValueError as error:
            self._wrong(node, path, str(error))
            return None

    def _tagged(self, node: Node, path: Path) -> None:
        self._wrong(node, path, f"tags ({str(node.tag).replace(_TAG, '!!')}) are not used here; write the plain value")

    def _wrong(self, node: Node, path: Path, message: str) -> None:
        self._document.mistakes.append((_place(node), Mistake(path, message)))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _place_in(text: str, position: int) -> Place:
    lines = _LINE_END.split(text[:position])
    return Place(len(lines), len(lines[-1]) + 1)


def _text(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a character (a lone surrogate)")
    return text


def _integer(text: str) -> int:
    plain = text.replace("_", "").lower()
    sign, digits = (-1 if plain.startswith("-") else 1), plain.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    try:
        return sign * int(digits if base == 10 else digits[2:], base)
    except ValueError:
        raise ValueError(f"{shown(text)} is no whole number, or too long a one") from None


def _float(text: str) -> float:
    try:
        number = float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise ValueError(f"{shown(text)} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, not {shown(text)}")
    return number


_SCALARS: Final[Mapping[str, Callable[[str], str | int | float | bool | None]]] = {
    "str": _text,
    "timestamp": _text,  # A date is a text: YAML 1.2 has none.
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _float,
}


def _syntax_problem(error: MarkedYAMLError, text: str, file: str) -> Problem:
    block = "block scalar" in (error.context or "")  # `>= 1` without quotes: what is wrong is its first character.
    mark = (error.context_mark if block else None) or error.problem_mark or error.context_mark
    if mark is None:
        return Problem(file, 0, 0, "", f"is no valid YAML: {error.problem or 'no reason given'}")
    character = text[mark.index] if mark.index < len(text) else ""
    begun = f" begun in line {error.context_mark.line + 1}" if error.context_mark is not None else ""
    if character == "\t":
        message = "a tab stands where YAML takes spaces only"
    else:
        said = f"{error.context or ''}|{error.problem or ''}"
        words = next((words for pattern, words in _SYNTAX if re.search(pattern, said)), None)
        message = f"is no valid YAML: {error.problem or 'no reason given'}"
        if words is not None:
            message = words.format(begun=begun, character=character)
    return Problem(file, mark.line + 1, mark.column + 1, "", message)


_SYNTAX: Final = (
    (
        r"cannot start any token|chomping or indentation",
        'a text that begins with {character} needs quotes, as in ">= 1"',
    ),
    (
        r"mapping values are not allowed",
        "a colon is out of place: quote a text that holds one, or check the indentation",
    ),
    (r"undefined alias", "aliases (*name) are not used here; quote a text that begins with *"),
    (r"found another document", "a file holds one scenario: remove what begins here"),
    (r"quoted scalar\|.*end of stream", "the quote{begun} is never closed"),
    (r"flow sequence\|", "the list in brackets{begun} is not closed, or a comma is missing in it"),
    (r"flow mapping\|", "the mapping in braces{begun} is not closed, or a comma is missing in it"),
    (r"expected <block end>", "does not fit what stands above it: check the indentation and the quotes"),
    (r"could not find expected ':'", "a key without a colon{begun}"),
)
"""What the parser says (context|problem), and what it means to the writer of a scenario."""
