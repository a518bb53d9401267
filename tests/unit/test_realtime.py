"""The thread that watches the traffic wakes up before the traffic, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread
from types import SimpleNamespace
from typing import cast

import pytest

from harness.broker.protocol import Broker
from harness.engine.realtime import realtime_priority
from harness.engine.timeline import Timeline
from harness.engine.watch import BrokerWatch


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def may_ask() -> bool:
    """Whether this user may have a thread scheduled in real time; asked in a thread that ends."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except OSError:
            answers.append(False)
        else:
            answers.append(True)

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    return answers[0]


def test_it_wakes_up_first_and_what_it_starts_does_not() -> None:
    before = policy()
    with realtime_priority():
        inside = policy()
        seen: list[int] = []
        thread = Thread(target=lambda: seen.append(policy()))
        thread.start()
        thread.join()
        program = "import os; print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)"
        child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert inside == (os.SCHED_RR if may_ask() else before)
    assert seen == [int(child.stdout)] == [before]
    assert policy() == before


def test_what_runs_beside_the_traffic_is_prompt_as_well() -> None:
    seen: list[int] = []

    def alive(_index: int) -> bool:
        seen.append(policy())
        return True

    broker = SimpleNamespace(nodes=("n1",), alive=alive)
    watch = BrokerWatch(cast("Broker", broker), cast("Timeline", SimpleNamespace(broker_down=False)))
    looker = Thread(target=watch._look_at_nodes)
    looker.start()
    looker.join()
    assert seen == [os.SCHED_RR if may_ask() else policy()]


def test_it_is_over_with_a_failure() -> None:
    before = policy()
    with pytest.raises(KeyError), realtime_priority():
        raise KeyError
    assert policy() == before


def test_who_may_not_ask_is_no_worse_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    done = []
    with realtime_priority():
        done.append(policy())
    monkeypatch.delattr(os, "sched_setscheduler")
    with realtime_priority():
        done.append(policy())
    assert done == [policy(), policy()]
