"""A message's identity survives its way through the broker, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.traffic.identity import decode, encode


@given(st.integers(1, 65534), st.integers(0, 2**32 - 1), st.integers(1, 65535), st.binary(max_size=300))
def test_an_identity_survives(publisher: int, seq: int, attempt: int, body: bytes) -> None:
    found = decode("r7f3", encode("r7f3", publisher, seq, attempt, body))
    assert found is not None
    assert (found.publisher, found.seq, found.attempt) == (publisher, seq, attempt)
    assert found.intact(body)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_single_changed_byte_is_corrupt(body: bytes, data: st.DataObject) -> None:
    found = decode("r", encode("r", 1, 2, 1, body))
    place = data.draw(st.integers(0, len(body) - 1))
    change = data.draw(st.integers(1, 255))
    changed = body[:place] + bytes([body[place] ^ change]) + body[place + 1 :]
    assert found is not None
    assert not found.intact(changed)


def test_another_runs_message_is_foreign() -> None:
    assert decode("this", encode("other", 1, 2, 1, b"")) is None


@pytest.mark.parametrize(
    "message_id",
    [
        None,
        "",
        "r",
        "r.1.2.3",
        "r.1.2.3.4.5",
        "r.x.2.3.4",
        "r.1..3.4",
        "r.1.2.3.zz",
        "r.-1.2.3.4",
        "r.70000.2.3.4",
        "r.65535.2.3.4",
        "r.1.4294967296.3.4",
        "r.1.2.70000.4",
    ],
)
def test_what_is_no_identity_is_foreign(message_id: str | None) -> None:
    assert decode("r", message_id) is None
