"""A badge: two words on a coloured ground, as an SVG picture that needs nothing from elsewhere."""

from __future__ import annotations

import unicodedata
from typing import Final

from harness.plain import plain, shortened
from harness.verdict.data import Outcome

FILLS: Final = {
    Outcome.AS_EXPECTED: "#17713c",
    Outcome.VIOLATED: "#b3261e",
    Outcome.INFRASTRUCTURE: "#7a3e9d",
    Outcome.INCONCLUSIVE: "#845400",
    Outcome.INTERRUPTED: "#5a6370",
}
"""Each ground is dark enough for white text (a contrast of 4.5 or more)."""
LONGEST: Final = 60
_MARGIN_PX: Final = 7
_NARROW: Final = frozenset(" .,:;!'|()[]ijlftrI1-")


def badge(label: str, message: str, outcome: Outcome) -> str:
    """Draw a badge that says `label` and `message`, in the colour of an outcome. Longer texts than LONGEST are cut."""
    from harness.report.templates import environment  # noqa: PLC0415 - the template engine is wanted by no other command

    label, message = shortened(plain(label), LONGEST), shortened(plain(message), LONGEST)
    left = _width(label)
    return (
        environment()
        .get_template("badge.svg")
        .render(
            label=label,
            message=message,
            fill=FILLS[outcome],
            left=left,
            width=left + _width(message),
            margin=_MARGIN_PX,
        )
    )


def _width(text: str) -> int:
    """Estimate the pixels of a text and its margins; the picture stretches the letters to exactly that, whatever the font."""
    return round(sum(_letter(character) for character in text)) + 2 * _MARGIN_PX


def _letter(character: str) -> float:
    if character in _NARROW:
        return 4.4
    if unicodedata.east_asian_width(character) in "WF":
        return 11.0
    return 8.2 if character.isupper() or character in "mw%@" else 6.8
