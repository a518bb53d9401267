"""Making text from outside harmless: names, task texts, broker messages and log lines must not steer a terminal or a page.

Control characters (and with them ANSI escapes), marks that turn the direction of writing, invisible characters and
halves of surrogate pairs would change what a reader sees, or are illegal in XML. Each is shown as its code instead.
"""

from __future__ import annotations

import re
import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|##(?=\w*\[)", re.MULTILINE)
"""How a line begins that a CI system obeys: `::error::` (GitHub) and, anywhere in a line, `##[error]`, `##vso[` or `##teamcity[`."""


def plain(text: str) -> str:
    r"""Return `text` on one line: line ends and tabs as spaces, every harmful character as its code, like `\u001b`."""
    if text.isprintable():
        return text
    return "".join(" " if character in "\n\t\r" else _shown(character) for character in text)


def lines(text: str) -> str:
    """Like `plain`, with line ends and tabs kept: for logs and files shown as they are."""
    return "\n".join(line if line.isprintable() else _line(line) for line in text.replace("\r\n", "\n").split("\n"))


def without_commands(text: str) -> str:
    """Return `text` with no line that a CI system would take for a command; all else, such as colours, stays."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\u003a" if found[1] is not None else "#\\u0023", text)


def printed(text: str) -> str:
    """Return `text` as a command may print it, line by line: nothing in it steers a terminal or a CI system."""
    return without_commands(lines(text))


def shortened(text: str, length: int) -> str:
    """Cut text to at most `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _line(text: str) -> str:
    return "".join(character if character == "\t" else _shown(character) for character in text)


def _shown(character: str) -> str:
    number = ord(character)
    noncharacter = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF
    if not noncharacter and unicodedata.category(character) not in _HARMFUL:
        return character
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def colour(text: str) -> str:
    """Return a fault's colour if it is one, `#rrggbb`; else grey. A fault of a third party may bring anything."""
    return text if _COLOUR.fullmatch(text) else "#7a818c"
