"""Asking a broker's Erlang VM: an expression goes in, a term comes out, whatever bytes its names have."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

from harness.broker.protocol import CONTROL_TIMEOUT_S, Broker
from harness.errors import BrokerError

Term = Any
"""An Erlang term: int, float, str (an atom), bytes (a binary), list, tuple, or dict (a map)."""

_PRINTED = re.compile(r'"([A-Za-z0-9+/=]*)"')
"""A part of the text, as Erlang prints it."""
_PARTS = (
    "(fun Parts(Text) when length(Text) < 60000 -> [Text]; "
    "Parts(Text) -> {Part, Rest} = lists:split(60000, Text), [Part | Parts(Rest)] end)"
)
"""Erlang's own library prints a longer text as a list of numbers."""


def evaluate(broker: Broker, expression: str, *, timeout_s: float = CONTROL_TIMEOUT_S) -> Term:
    """Evaluate Erlang expressions, separated by commas, on the first node that answers; takes the ability CONTROL.

    `timeout_s` bounds each node. Raises BrokerError if none answers, with what the last one said.
    """
    asked = f"{_PARTS}(base64:encode_to_string(term_to_binary(begin {expression} end, [compressed])))."
    failure = "the broker has no nodes"
    for node, name in enumerate(broker.nodes):
        try:
            if not broker.alive(node):
                failure = f"{name} is down"
                continue
            done = broker.control("eval", asked, node=node, timeout_s=timeout_s)
        except BrokerError as error:
            failure = str(error)
            continue
        if done.exit_code == 0:
            return decode(_printed(done.stdout))
        said = " ".join((done.stderr or done.stdout).split())
        failure = (
            f"rabbitmqctl failed on {name}: {said or f'it ended with exit code {done.exit_code} and said nothing'}"
        )
    raise BrokerError(failure)


def _printed(text: str) -> bytes:
    try:
        return base64.b64decode("".join(_PRINTED.findall(text)), validate=True)
    except binascii.Error as error:
        raise BrokerError(f"rabbitmqctl eval answered what is no term: {text[:200]!r}") from error


def binary(text: str) -> str:
    """Write a text as an Erlang binary, byte by byte: no character of it can end the expression."""
    return f"<<{','.join(map(str, text.encode()))}>>"


def decode(data: bytes) -> Term:
    """Decode what term_to_binary wrote. Source: Erlang's external term format.

    Raises BrokerError for anything else, and for pids, references and functions, which no answer needs.
    """
    try:
        if data[:1] != b"\x83":
            raise BrokerError("an Erlang term begins with 131")
        if data[1:2] == b"P":
            data = b"\x83" + zlib.decompress(data[6:])
        return _Reader(data).term()
    except (struct.error, IndexError, UnicodeDecodeError, zlib.error, KeyError) as error:
        raise BrokerError(f"an Erlang term could not be read: {error!r}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 1

    def term(self) -> Term:
        return _READERS[self._number(1)](self)

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise IndexError("it ends in the middle")
        self._at += count
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _terms(self, count: int) -> list[Term]:
        return [self.term() for _ in range(count)]

    def _list(self) -> list[Term]:
        items = self._terms(self._number(4))
        tail = self.term()
        return items if tail == [] else [*items, tail]

    def _map(self) -> dict[Term, Term]:
        pairs = [(self.term(), self.term()) for _ in range(self._number(4))]
        return {_hashable(key): value for key, value in pairs}

    def _big(self, size: int) -> int:
        digits = self._number(size)
        sign = -1 if self._number(1) else 1
        return sign * int.from_bytes(self._take(digits), "little")

    def _float(self) -> float:
        value: float = struct.unpack(">d", self._take(8))[0]
        return value

    def _signed(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)


def _hashable(term: Term) -> Term:
    """Make a key of a term: lists become tuples, maps tuples of their pairs."""
    if isinstance(term, list | tuple):
        return tuple(map(_hashable, term))
    if isinstance(term, dict):
        return tuple((key, _hashable(value)) for key, value in term.items())
    return term


def _atom(encoding: str, size: int) -> Callable[[_Reader], str]:
    return lambda reader: reader._take(reader._number(size)).decode(encoding)


_READERS: dict[int, Callable[[_Reader], Term]] = {
    70: _Reader._float,
    97: lambda reader: reader._number(1),
    98: _Reader._signed,
    100: _atom("latin-1", 2),
    104: lambda reader: tuple(reader._terms(reader._number(1))),
    105: lambda reader: tuple(reader._terms(reader._number(4))),
    106: lambda _reader: [],
    107: lambda reader: list(reader._take(reader._number(2))),
    108: _Reader._list,
    109: lambda reader: reader._take(reader._number(4)),
    110: lambda reader: reader._big(1),
    111: lambda reader: reader._big(4),
    115: _atom("latin-1", 1),
    116: _Reader._map,
    118: _atom("utf-8", 2),
    119: _atom("utf-8", 1),
}
