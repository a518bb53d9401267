"""The watch on the broker, and the outbox that events of all threads go through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from harness.broker.liveness import Liveness
from harness.engine import watch as watching
from harness.engine.outbox import Outbox
from harness.engine.watch import BrokerWatch
from harness.errors import BrokerError
from harness.events import Note


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.0)


def make_watch(alive: Callable[[int], bool], *, down: bool = False) -> tuple[BrokerWatch, Any]:
    timeline: Any = SimpleNamespace(broker_down=down)
    broker: Any = SimpleNamespace(nodes=("n1", "n2"), alive=alive)
    return BrokerWatch(broker, timeline), timeline


def check_until_raised(watch: BrokerWatch) -> str:
    for _ in range(2000):
        try:
            watch.check()
        except BrokerError as error:
            return str(error)
        time.sleep(0.001)
    pytest.fail("the watch found nothing")


def test_a_node_that_died_by_itself_is_named() -> None:
    watch, _timeline = make_watch(lambda node: node != 1)
    assert "node n2 died" in check_until_raised(watch)


def test_an_engine_that_never_answers_is_a_failure_of_its_own() -> None:
    looks = 0

    def alive(_node: int) -> bool:
        nonlocal looks
        looks += 1
        raise BrokerError("the engine does not answer")

    watch, _timeline = make_watch(alive)
    said = check_until_raised(watch)
    assert said == "the engine does not answer; 5 looks in a row at node n1 had no answer"
    assert looks >= 5


@pytest.mark.parametrize("unanswered", [1, 4])
def test_a_busy_node_that_misses_some_looks_is_not_dead(unanswered: int) -> None:
    looks: list[int] = []

    def alive(node: int) -> bool:
        looks.append(node)
        if len(looks) % (unanswered + 1):
            raise BrokerError("no answer")
        return True

    broker: Any = SimpleNamespace(nodes=("n1",), alive=alive)
    liveness = Liveness(broker)
    assert [liveness.look() for _ in range(40)] == [None] * 40


def test_what_was_silent_before_a_step_took_the_node_down_does_not_count() -> None:
    answers = iter([False] * 4 + [True])

    def alive(_node: int) -> bool:
        if not next(answers, False):
            raise BrokerError("no answer")
        return True

    broker: Any = SimpleNamespace(nodes=("n1",), alive=alive)
    liveness = Liveness(broker)
    assert [liveness.look() for _ in range(4)] == [None] * 4
    liveness.forget()
    assert [liveness.look() for _ in range(5)] == [None] * 5


def test_a_node_that_a_step_took_down_is_no_failure_and_none_afterwards() -> None:
    watch, timeline = make_watch(lambda _node: False, down=True)
    for _ in range(20):
        watch.check()
    timeline.broker_down = False
    assert "node n1 died" in check_until_raised(watch)  # it is still down, and no step holds it any more


def test_what_a_look_found_before_a_step_took_the_node_down_is_forgotten() -> None:
    looked = threading.Event()
    alive = False

    def look(_node: int) -> bool:
        looked.set()
        return alive

    watch, timeline = make_watch(look)
    others = threading.active_count()
    watch.check()
    assert looked.wait(10)
    timeline.broker_down = True
    while threading.active_count() > others:
        time.sleep(0.001)
    watch.check()
    alive = True
    timeline.broker_down = False
    for _ in range(20):
        watch.check()


def test_a_look_that_hangs_holds_nothing_up_and_is_not_repeated() -> None:
    let_go = threading.Event()
    looks: list[int] = []

    def alive(node: int) -> bool:
        looks.append(node)
        return let_go.wait(30)

    watch, _timeline = make_watch(alive)
    for _ in range(20):
        watch.check()
    let_go.set()
    assert looks[:1] == [0]
    assert looks.count(0) == 1


def test_events_of_other_threads_wait_for_the_pump_and_keep_their_order() -> None:
    seen: list[tuple[int, str]] = []
    outbox = Outbox("guarantee", [lambda event: seen.append((threading.get_ident(), getattr(event, "message", "")))])

    def put() -> None:
        for number in range(100):
            outbox.put(Note(at_ns=number, variant="guarantee", message=str(number)))

    other = threading.Thread(target=put)
    other.start()
    other.join()
    assert not seen
    outbox.note("last")
    assert seen == [(threading.get_ident(), message) for message in [*map(str, range(100)), "last"]]
