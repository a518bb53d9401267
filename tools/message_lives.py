"""Draws the possible lives of a copy as an SVG: from its publish to each of the fates of `harness.verdict.data.Fate`.

`python -m tools.message_lives` writes the pictures of docs/verdicts.md, one for a light page and one for a dark one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from harness.verdict.data import Fate

FOLDER: Final = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT = 1000, 830


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a picture, as #rrggbb."""

    text: str
    line: str
    step: str
    good: str
    bad: str
    known: str


PALETTES: Final = {
    "light": Palette("#1b1f24", "#57606a", "#eaeef2", "#c9ecd2", "#ffd0cc", "#fbe9b7"),
    "dark": Palette("#f0f3f6", "#a6b0bb", "#343b46", "#1d5a34", "#8a2a26", "#664d0c"),
}


@dataclass(frozen=True, slots=True)
class Box:
    """A stage or a fate: its middle, and which of the palette's colours fills it."""

    text: str
    x: int
    y: int
    fill: str
    note: str = ""
    width: int = 150


STAGES: Final = (
    Box("published", 95, 250, "step"),
    Box("not promised", 325, 150, "step", "no confirm, or refused"),
    Box("promised", 325, 340, "step", "confirmed, or confirms are off"),
    Box("in its queue", 600, 190, "step"),
    Box("at a worker", 600, 350, "step", "delivered, not completed"),
)
FATES: Final = {
    Fate.NEVER_PROMISED: Box("never promised", 95, 70, "known", "the publisher knows"),
    Fate.LOST: Box("lost", 325, 500, "bad", "promised, and gone"),
    Fate.DROPPED: Box("dropped", 600, 500, "known", "by a limit or a reject"),
    Fate.PROCESSED: Box("processed", 890, 60, "good", "its work was completed"),
    Fate.RECOVERED: Box("recovered", 890, 148, "good", "completed without a confirm"),
    Fate.RESURRECTED: Box("resurrected", 890, 236, "good", "completed though refused"),
    Fate.STRANDED: Box("stranded", 890, 324, "known", "in a work queue at the end"),
    Fate.IN_TRANSIT: Box("in transit", 890, 412, "known", "in a delay or retry queue"),
    Fate.DEAD_LETTERED: Box("dead-lettered", 890, 500, "known", "at rest in a dead letter queue"),
    Fate.RETAINED: Box("retained", 890, 588, "known", "held for a target that refuses it"),
    Fate.EXPIRED: Box("expired", 890, 676, "known", "by a time to live"),
    Fate.REMOVED: Box("removed", 890, 764, "known", "purged, or its queue was deleted"),
}
ARROWS: Final = (
    "M170 240 L248 172",
    "M170 262 L248 322",
    "M250 135 L172 92",
    "M400 155 L523 178",
    "M400 330 L523 206",
    "M325 386 L325 476",
    "M525 214 C470 270 480 420 402 484",
    "M540 398 L402 492",
    "M600 398 L600 476",
    "M660 214 C712 280 712 430 668 476",
    "M585 212 L585 326",
    "M615 328 L615 214",
    "M677 336 L812 80",
    "M677 341 L812 160",
    "M677 346 L812 244",
    "M677 190 C745 200 760 300 812 320",
    "M677 194 C740 212 750 385 812 408",
    "M677 198 C735 225 745 470 812 496",
    "M677 202 C725 240 735 560 812 584",
    "M673 206 C715 260 722 640 812 672",
    "M667 210 C705 280 705 720 812 760",
)
LABELS: Final = (
    (576, 272, "delivered", "end"),
    (624, 272, "back", "start"),
)


def picture(palette: Palette) -> str:
    """Draw it; returns SVG text."""
    title = "The possible lives of a copy of a message, from its publish to its fate"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="15" text-anchor="middle"><title>{title}</title>',
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{palette.line}"/></marker></defs>',
    ]
    parts += [
        f'<path d="{path}" fill="none" stroke="{palette.line}" stroke-width="1.6" marker-end="url(#tip)"/>'
        for path in ARROWS
    ]
    parts += [
        f'<text x="{x}" y="{y}" fill="{palette.line}" font-size="13" text-anchor="{anchor}">{escape(text)}</text>'
        for x, y, text, anchor in LABELS
    ]
    parts += [_box(box, palette) for box in (*STAGES, *FATES.values())]
    return "\n".join(parts) + "\n</svg>\n"


def _box(box: Box, palette: Palette) -> str:
    left, top = box.x - box.width // 2, box.y - 22
    return (
        f'<rect x="{left}" y="{top}" width="{box.width}" height="44" rx="8" fill="{getattr(palette, box.fill)}" '
        f'stroke="{palette.line}"/>'
        f'<text x="{box.x}" y="{box.y + 5}" fill="{palette.text}" font-weight="bold">{escape(box.text)}</text>'
        + (
            f'<text x="{box.x}" y="{box.y + 38}" fill="{palette.line}" font-size="12.5">{escape(box.note)}</text>'
            if box.note
            else ""
        )
    )


def pictures() -> dict[Path, str]:
    """Return every picture by the file that holds it."""
    return {FOLDER / f"message-lives-{name}.svg": picture(palette) for name, palette in PALETTES.items()}


if __name__ == "__main__":
    for path, text in pictures().items():
        path.write_text(text, encoding="utf-8")
