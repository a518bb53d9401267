"""Making text from outside harmless: names, bodies and log lines must not steer a terminal or a page."""

from __future__ import annotations

import unicodedata


def plain(text: str) -> str:
    """Return `text` on one line, with control characters, escapes and direction marks shown as what they are."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\n\t":
        return " "
    # Cc control, Cf format (direction marks, zero width), Cs surrogates, Co private use.
    return f"\\u{ord(character):04x}" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") else character


def lines(text: str) -> str:
    """Like `plain`, with line ends and tabs kept: for logs and files shown as they are."""
    return "\n".join("\t".join(plain(part) for part in line.split("\t")) for line in text.split("\n"))
