"""What a broker's Erlang VM is asked, and what its answers mean."""

from __future__ import annotations

import base64
import zlib
from typing import Any, cast

import pytest

from harness.broker import erl_call
from harness.broker.erlang import binary, decode, evaluate
from harness.broker.protocol import Broker, ControlResult
from harness.errors import BrokerError

TERMS: list[tuple[bytes, Any]] = [
    (b"a\x2a", 42),
    (b"b\xff\xff\xff\xfe", -2),
    (b"n\x08\x00\x00\x00\x00\x00\x00\x00\x00\x80", 2**63),
    (b"n\x04\x01\x00\x00\x00\x80", -(2**31)),
    (b"o\x00\x00\x00\x02\x00\x01\x01", 257),
    (b"F\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
    (b"d\x00\x04true", "true"),
    (b"s\x02\xe4b", "äb"),
    (b"w\x03\xc3\xa4b", "äb"),
    (b"v\x00\x03\xc3\xa4b", "äb"),
    (b'm\x00\x00\x00\x04a"\xff\n', b'a"\xff\n'),
    (b"j", []),
    (b"k\x00\x02\x01\xff", [1, 255]),
    (b"l\x00\x00\x00\x02a\x01jj", [1, []]),
    (b"l\x00\x00\x00\x01a\x01a\x02", [1, 2]),
    (b"h\x02a\x01w\x02ok", (1, "ok")),
    (b"i\x00\x00\x00\x01a\x01", (1,)),
    (b"t\x00\x00\x00\x01h\x01a\x01a\x02", {(1,): 2}),
    (b"t\x00\x00\x00\x01l\x00\x00\x00\x01h\x01a\x01ja\x02", {((1,),): 2}),
    (b"t\x00\x00\x00\x01t\x00\x00\x00\x01a\x01a\x02a\x03", {((1, 2),): 3}),
]


@pytest.mark.parametrize(("encoded", "term"), TERMS)
def test_a_term_is_read(encoded: bytes, term: object) -> None:
    assert decode(b"\x83" + encoded) == term


def test_a_compressed_term_is_read() -> None:
    encoded = b"m" + (1000).to_bytes(4, "big") + b"x" * 1000
    assert decode(b"\x83P" + len(encoded).to_bytes(4, "big") + zlib.compress(encoded)) == b"x" * 1000


@pytest.mark.parametrize("encoded", [b"", b"a\x01", b"\x83", b"\x83m\x00\x00\x00\x04abc", b"\x83\x00", b"\x83P0000no"])
def test_what_is_no_term_is_an_error(encoded: bytes) -> None:
    with pytest.raises(BrokerError, match="Erlang term"):
        decode(encoded)


def test_a_name_cannot_end_the_expression_it_is_in() -> None:
    assert binary('a">>\n') == "<<97,34,62,62,10>>"
    assert binary("ü") == "<<195,188>>"
    assert binary("") == "<<>>"


class Nodes:
    """A broker of nodes that answer as given: a text, an error, or None for one that is down."""

    def __init__(self, **answers: ControlResult | BrokerError | None) -> None:
        self.nodes = tuple(answers)
        self._answers = tuple(answers.values())
        self.asked: list[tuple[str, ...]] = []

    def alive(self, node: int = 0) -> bool:
        return self._answers[node] is not None

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 0.0) -> ControlResult:  # noqa: ARG002
        self.asked.append((self.nodes[node], *arguments))
        answer = self._answers[node]
        if isinstance(answer, BrokerError):
            raise answer
        assert answer is not None
        return answer


def printed(encoded: bytes) -> ControlResult:
    """What a node prints for a term: its text in parts, over several lines."""
    text = base64.b64encode(b"\x83" + encoded).decode()
    return ControlResult(0, f'["{text[:4]}",\n "{text[4:]}"]\n', "")


def test_the_first_node_that_answers_is_asked() -> None:
    refuses = ControlResult(1, "", "Error:\nno such\nfunction")
    broker = Nodes(n1=None, n2=BrokerError("n2 is frozen"), n3=refuses, n4=printed(b"w\x02ok"), n5=printed(b"j"))
    assert evaluate(cast("Broker", broker), "ok") == "ok"
    assert [asked[:2] for asked in broker.asked] == [("n2", "eval"), ("n3", "eval"), ("n4", "eval")]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "the broker has no nodes"),
        ({"n1": None}, "n1 is down"),
        ({"n1": BrokerError("n1 is frozen")}, "n1 is frozen"),
        (
            {"n1": ControlResult(1, "", "Error:\nno such\nfunction")},
            "rabbitmqctl failed on n1: Error: no such function",
        ),
        (
            {"n1": ControlResult(7, "", "")},
            "rabbitmqctl failed on n1: it ended with exit code 7 and said nothing",
        ),
        ({"n1": ControlResult(0, "ok", "")}, "an Erlang term begins with 131"),
    ],
)
def test_what_no_node_answers_is_an_error_with_the_reason(answers: dict[str, Any], said: str) -> None:
    with pytest.raises(BrokerError) as raised:
        evaluate(cast("Broker", Nodes(**answers)), "ok")
    assert str(raised.value) == said


@pytest.mark.parametrize(("node", "option"), [("n1@localhost", "-sname"), ("n1@127.0.0.11", "-name")])
def test_a_node_is_called_by_its_kind_of_name(node: str, option: str) -> None:
    assert erl_call.arguments(node) == (option, node, "-e")


def test_an_answer_reads_as_that_of_rabbitmqctl() -> None:
    assert erl_call.answer(ControlResult(0, '{ok, ["ab", "c"]}\n', "")) == ControlResult(0, '["ab", "c"]', "")


@pytest.mark.parametrize(
    "done", [ControlResult(1, "", ""), ControlResult(0, '{error, "*** eval: undef"}', ""), ControlResult(0, "", "")]
)
def test_what_the_quick_way_does_not_answer_rabbitmqctl_is_asked(done: ControlResult) -> None:
    assert erl_call.answer(done) is None
