from __future__ import annotations

import pytest

from harness.plain import colour, lines, plain, shortened
from harness.report.figures import about, clock, seconds, share
from harness.verdict.words import plural, rate_bound


@pytest.mark.parametrize(
    ("harmful", "shown"),
    [
        ("\x1b[31mred", "\\u001b[31mred"),
        ("a\x00b", "a\\u0000b"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\u200bx", "\\u200bx"),
        ("\ud800", "\\ud800"),
        ("\ufffe", "\\ufffe"),
        ("\U0001fffe", "\\U0001fffe"),
        ("a\u2028b", "a\\u2028b"),
        ("\x9b31m", "\\u009b31m"),
    ],
)
def test_harmful_characters_are_shown_as_their_codes(harmful: str, shown: str) -> None:
    assert plain(harmful) == shown
    assert lines(harmful) == shown


@pytest.mark.parametrize("text", ["worker-1", "Zoë · 東京 · שלום · 🐇", "a\u00a0b", ""])
def test_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_plain_text_is_one_line_and_lines_keep_theirs() -> None:
    assert plain("a\r\nb\tc") == "a  b c"
    assert lines("a\r\nb\tc") == "a\nb\tc"
    assert lines("50%\rdone") == "50%\\u000ddone", "a lone carriage return would overwrite the line"


def test_cutting_says_so() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"


def test_a_colour_that_is_none_becomes_grey() -> None:
    assert colour("#c0392b") == "#c0392b"
    assert colour("red;background:url(//evil)") == colour("") == "#7a818c"


def test_a_share_is_never_rounded_to_none_or_all() -> None:
    assert share(0, 10) == "0%"
    assert share(10, 10) == "100%"
    assert share(1, 10**9) == "< 0.1%"
    assert share(10**9 - 1, 10**9) == "> 99.9%"
    assert share(1, 3) == "33.3%"
    assert share(0, 0) == "0%"


def test_numbers_read_as_a_person_writes_them() -> None:
    assert plural(1, "message") == "1 message"
    assert plural(2000, "message") == "2,000 messages"
    assert (seconds(0.002), seconds(None)) == ("2 ms", "—")
    assert (clock(12.345), clock(12345.6), clock(None)) == ("12.35 s", "12,346 s", "—")
    assert (about(17.8), about(200)) == ("18 s", "3 min")
    assert (rate_bound(0.00006), rate_bound(0.024)) == ("below 0.006%", "below 2.4%")
