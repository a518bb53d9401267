"""A broker that boots before its variant's turn."""

from __future__ import annotations

from threading import Event, Thread
from typing import cast

import pytest

from harness.broker.protocol import Broker
from harness.engine.early_boot import Booted, EarlyBoot
from harness.errors import BrokerError

BOUND_S = 30.0


class Slow:
    """A broker whose start lasts until it is let go, and may fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.started, self.go, self.destroyed = Event(), Event(), 0
        self._failure = failure

    def start(self) -> None:
        self.started.set()
        assert self.go.wait(BOUND_S)
        if self._failure is not None:
            raise self._failure

    def destroy(self) -> None:
        self.destroyed += 1


def early_boot_of(broker: Slow) -> EarlyBoot:
    return EarlyBoot(lambda: (cast("Broker", broker), "why"))


def test_it_boots_while_something_else_is_done_and_is_given_away_once() -> None:
    broker = Slow()
    early_boot = early_boot_of(broker)
    before = early_boot.begun
    early_boot.begin()
    assert (before, early_boot.begun) == (False, True)
    assert broker.started.wait(BOUND_S)
    broker.go.set()
    booted = early_boot.take()
    assert booted == Booted(cast("Broker", broker), "why", None)
    assert not early_boot.begun
    early_boot.discard()
    assert broker.destroyed == 0, "it belongs to who took it"


def test_whoever_takes_it_waits_for_the_end_of_its_boot() -> None:
    broker = Slow()
    early_boot = early_boot_of(broker)
    early_boot.begin()
    taken: list[object] = []
    taker = Thread(target=lambda: taken.append(early_boot.take().broker))
    taker.start()
    assert broker.started.wait(BOUND_S)
    assert taken == []
    broker.go.set()
    taker.join(BOUND_S)
    assert taken == [broker]


@pytest.mark.parametrize("failure", [BrokerError("no port"), OSError(28, "No space left"), ValueError("a mistake")])
def test_a_boot_that_fails_is_told_and_its_broker_given_all_the_same(failure: Exception) -> None:
    broker = Slow(failure)
    broker.go.set()
    early_boot = early_boot_of(broker)
    early_boot.begin()
    booted = early_boot.take()
    assert booted.failure is failure
    assert booted.broker == cast("Broker", broker)


def test_a_broker_that_cannot_be_made_is_told() -> None:
    def make() -> tuple[Broker, str]:
        raise BrokerError("no image")

    early_boot = EarlyBoot(make)
    early_boot.begin()
    booted = early_boot.take()
    assert booted.broker is None
    assert str(booted.failure) == "no image"


def test_one_that_nobody_took_is_ended_once_it_has_booted() -> None:
    broker = Slow()
    early_boot = early_boot_of(broker)
    early_boot.begin()
    assert broker.started.wait(BOUND_S)
    ender = Thread(target=early_boot.discard)
    ender.start()
    assert broker.destroyed == 0, "cut off in its boot, it could leave something behind"
    broker.go.set()
    ender.join(BOUND_S)
    assert broker.destroyed == 1
    early_boot.discard()
    assert broker.destroyed == 1


def test_nothing_is_ended_that_was_not_begun() -> None:
    broker = Slow()
    early_boot_of(broker).discard()
    assert not broker.started.is_set()
    assert broker.destroyed == 0
