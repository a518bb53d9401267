"""What a delivery's headers say of how it died, whoever wrote them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history.records import MOST_DEATHS, Death, ForeignMessage
from harness.traffic.deaths import death_of, delivery_count
from harness.traffic.identity import foreign


def entry(queue: str | bytes, reason: str | bytes, count: int = 1) -> dict[str, Any]:
    """One of x-death, as pika decodes it."""
    return {
        "count": count,
        "exchange": "",
        "queue": queue,
        "reason": reason,
        "routing-keys": ["tasks"],
        "time": datetime(2026, 1, 1, tzinfo=UTC),
    }


def test_a_retry_loop_is_a_path_with_the_latest_death_at_its_end() -> None:
    headers = {
        "x-death": [entry("delay", "expired", 3), entry("tasks", "rejected", 3)],
        "x-first-death-queue": "tasks",
    }
    assert death_of(headers) == Death("tasks", (("tasks", "rejected", 3), ("delay", "expired", 3)))


@pytest.mark.parametrize("headers", [None, {}, {"x-delivery-count": 2}, {"x-death": []}, {"x-first-death-queue": "a"}])
def test_without_an_entry_nothing_has_died(headers: dict[str, Any] | None) -> None:
    assert death_of(headers) is None


def test_without_its_own_header_the_first_death_is_that_of_the_oldest_entry() -> None:
    headers = {"x-death": [entry("b", "expired"), entry("a", "maxlen")]}
    assert death_of(headers) == Death("a", (("a", "maxlen", 1), ("b", "expired", 1)))


def test_a_queue_whose_name_is_not_utf_8_is_named_all_the_same() -> None:
    headers = {"x-death": [entry(b"caf\xe9", b"rejected")], "x-first-death-queue": b"caf\xe9"}
    assert death_of(headers) == Death("caf\ufffd", (("caf\ufffd", "rejected", 1),))


def test_long_stories_keep_their_latest_part() -> None:
    entries = [entry(f"q{number}", "rejected", 10**6) for number in range(500)]
    found = death_of({"x-death": entries, "x-first-death-queue": "q499"})
    assert found is not None
    assert found.first_queue == "q499"
    assert len(found.path) == MOST_DEATHS
    assert found.path[-1] == ("q0", "rejected", MOST_DEATHS)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(
                st.sampled_from(("x-death", "x-first-death-queue", "queue", "reason", "count", "x-delivery-count")),
                inner,
                max_size=4,
            ),
        ),
    )
)
def test_headers_of_any_form_are_read_without_an_error(value: Any) -> None:
    headers = value if isinstance(value, dict) else {"x-death": value, "x-delivery-count": value}
    found = death_of(headers)
    assert found is None or Death.read(found.text) == found
    assert 0 <= delivery_count(headers) < 2**32


@pytest.mark.parametrize(
    ("headers", "count"),
    [(None, 0), ({}, 0), ({"x-delivery-count": 3}, 3), ({"x-delivery-count": "3"}, 0), ({"x-delivery-count": -1}, 0)],
)
def test_a_delivery_count_is_a_number_or_none(headers: dict[str, Any] | None, count: int) -> None:
    assert delivery_count(headers) == count


def test_a_foreign_message_is_described_in_printable_characters() -> None:
    found = foreign(b"\xff1", "exchange", b"k\xe4", b"\x00ab\\\n" + b"x" * 1000)
    assert found == ForeignMessage("\\xff1", "exchange", "k\\xe4", 1005, "\\x00ab\\\\\\n" + "x" * 35)
    assert ForeignMessage.read(found.text) == found
    assert foreign(None, "", "tasks", b"") == ForeignMessage("", "", "tasks", 0, "")
