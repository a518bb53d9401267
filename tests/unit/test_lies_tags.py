"""Tags of both sides stay right, whatever is dropped, put in, held back and settled together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.lies.tags import Settled, Tags, UnknownTagError


def settled(answers: list[Settled], open_ones: list[int]) -> set[int]:
    """Return what the sender takes for settled, of its open tags; it must know every tag that is settled by itself."""
    found: set[int] = set()
    for answer in answers:
        assert answer.tag in open_ones
        found |= {tag for tag in open_ones if tag <= answer.tag} if answer.multiple else {answer.tag}
    return found


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("pass", "drop", "put in", "hold", "let go")), st.just(0)),
        st.tuples(st.sampled_from(("settle", "settle up to")), st.integers(0, 30)),
    ),
    max_size=60,
)


@given(steps)
def test_the_sender_hears_of_exactly_those_of_its_messages_that_the_receiver_has_settled(
    steps: list[tuple[str, int]],
) -> None:
    tags = Tags()
    sender_waits: list[int] = []
    receiver_has: dict[int, int | None] = {}
    held: list[int] = []
    for step, number in steps:
        match step:
            case "pass":
                sender_waits.append(tags.send())
                receiver_has[tags.receive(sender_waits[-1])] = sender_waits[-1]
            case "drop":
                sender_waits.append(tags.send())
            case "put in":
                receiver_has[tags.receive(None)] = None
            case "hold":
                sender_waits.append(tags.send())
                held.append(sender_waits[-1])
            case "let go" if held:
                one = held.pop(0)
                receiver_has[tags.receive(one)] = one
            case "settle" | "settle up to":
                multiple = step == "settle up to"
                mine = [tag for tag in receiver_has if (tag <= number if multiple else tag == number)]
                if multiple and number == 0:
                    mine = list(receiver_has)
                if not mine:
                    with pytest.raises(UnknownTagError):
                        tags.settle(number, multiple=multiple)
                    continue
                pairs = tags.settle(number, multiple=multiple)
                assert pairs == [(tag, receiver_has.pop(tag)) for tag in mine]
                told = {sent for _, sent in pairs if sent is not None}
                assert settled(tags.passed_on(told), sender_waits) == told
                sender_waits = [tag for tag in sender_waits if tag not in told]
    assert tags.waiting() == tuple(sender_waits)


def test_what_is_settled_together_stays_together_where_nothing_else_is_open_before_it() -> None:
    tags = Tags()
    for _ in range(5):
        tags.receive(tags.send())
    assert tags.passed_on([1]) == [Settled(1, multiple=False)]
    assert tags.passed_on([3, 4]) == [Settled(3, multiple=False), Settled(4, multiple=False)]
    assert tags.passed_on([2, 5]) == [Settled(5, multiple=True)]


def test_a_message_is_settled_once() -> None:
    tags = Tags()
    tags.receive(tags.send())
    assert tags.passed_on([1]) == [Settled(1, multiple=False)]
    assert tags.passed_on([1]) == []


def test_what_needs_no_settlement_is_not_open() -> None:
    tags = Tags()
    sent = tags.send()
    received = tags.receive(sent)
    tags.forget(sent=sent, received=received)
    assert tags.waiting() == ()
    with pytest.raises(UnknownTagError):
        tags.settle(received, multiple=False)
