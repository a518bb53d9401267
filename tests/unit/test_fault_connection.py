"""Closing connections: as often as asked, or as often as the run lasts, and the strike says how often it was."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from harness.broker.erlang import binary
from harness.broker.protocol import ControlResult
from harness.errors import BrokerError
from harness.faults.base import Injection
from harness.faults.connection import CloseConnections
from harness.faults.context import FaultContext
from harness.traffic.spec import Target
from tests.unit.fake_pooled import printed


def struck(times: int, *, over_after: int = 100, result: ControlResult | None = None) -> tuple[Injection, list[str]]:
    """Close with a broker that only answers, in a run that is over after some closings; what was done, in order."""
    done: list[str] = []

    def control(command: str, expression: str, **_options: Any) -> ControlResult:
        assert command == "eval"
        assert binary("chaos-1") in expression, "the connections of other virtual hosts are not the variant's"
        done.append("close")
        return result or ControlResult(0, printed(2), "")

    def nothing(*_: Any) -> None:
        pass

    broker: Any = SimpleNamespace(nodes=("n1",), control=control, alive=lambda _node: True)
    actors: Any = None
    context = FaultContext(
        fault=0,
        broker=broker,
        actors=actors,
        target=Target(addresses=(("127.0.0.1", 5672),), username="", password="", virtual_host="chaos-1", tls=False),
        queues={},
        random=Random(1),
        error_observed=nothing,
        publish=nothing,
        wait=lambda seconds: done.append(f"wait {seconds:g} s"),
        over=lambda: done.count("close") >= over_after,
    )
    return CloseConnections(times=times, every=0.2).inject(context), done


@pytest.mark.parametrize(("times", "title"), [(1, "close all connections"), (3, "close all connections 3 times")])
def test_it_closes_as_often_as_asked_with_a_wait_between(times: int, title: str) -> None:
    strike, done = struck(times)
    assert (strike.title, strike.times) == (title, times)
    assert done == [*["close", "wait 0.2 s"] * (times - 1), "close"]


def test_a_run_that_ends_meanwhile_ends_it_and_the_strike_says_how_often_it_closed() -> None:
    strike, done = struck(5, over_after=2)
    assert (strike.title, strike.times) == ("close all connections 2 times", 2)
    assert done.count("close") == 2


def test_a_broker_that_cannot_is_told_of() -> None:
    with pytest.raises(BrokerError, match="failed on n1: Error no such node"):
        struck(1, result=ControlResult(69, "", "Error\nno such node"))
