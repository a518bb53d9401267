from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from harness.report.badge import FILLS, LONGEST, badge
from harness.verdict.data import Outcome
from tests.unit.report_samples import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own text


def brightness(colour: str) -> float:
    """Return the relative luminance, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_badge_says_its_two_texts_to_the_eye_and_to_a_screen_reader() -> None:
    root = parsed(badge("nightly", "12 of 12 as expected", Outcome.AS_EXPECTED))
    assert [each.text for each in root.iter(f"{SVG}text")] == ["nightly", "12 of 12 as expected"]
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "nightly: 12 of 12 as expected"
    assert root.findtext(f"{SVG}title") == "nightly: 12 of 12 as expected"


def test_the_texts_fit_their_grounds() -> None:
    root = parsed(badge("a", "a much longer message", Outcome.VIOLATED))
    first, second = (float(each.attrib["textLength"]) for each in root.iter(f"{SVG}text"))
    drawn = re.match(r"M(\d+) 0", root.find(f"{SVG}path").attrib["d"])  # type: ignore[union-attr]
    assert drawn is not None
    left, width = float(drawn[1]), float(root.attrib["width"])
    assert first < left
    assert second < width - left
    assert second > 4 * first


@pytest.mark.parametrize("outcome", Outcome)
def test_white_text_is_readable_on_every_outcomes_ground(outcome: Outcome) -> None:
    assert FILLS[outcome] in badge("x", "y", outcome)
    assert 1.05 / (brightness(FILLS[outcome]) + 0.05) >= 4.5
    assert list(FILLS.values()).count(FILLS[outcome]) == 1


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = badge("x", "y", Outcome.AS_EXPECTED).replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|<script|href|@import|url\(", text)


def test_hostile_text_is_text() -> None:
    text = badge(HOSTILE, HOSTILE, Outcome.VIOLATED)
    root = parsed(text)
    assert {each.tag for each in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "path", "g", "text")
    }
    assert "\u202e" not in text
    assert all(len(each.text or "") <= LONGEST for each in root.iter(f"{SVG}text"))
