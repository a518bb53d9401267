"""The meter of load: who was busy, who was not, and who ended while it looked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.engine.load import LoadMeter

BURN = """
import sys, time
while time.process_time() < float(sys.argv[1]): pass
print("burnt", flush=True)
sys.stdin.read()
"""


class Burner:
    """A process that takes so many processor seconds, and waits for its end."""

    def __init__(self, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BURN, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def await_burnt(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "burnt\n"

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def idle() -> Iterator[Burner]:
    burner = Burner(0)
    burner.await_burnt()
    yield burner
    burner.end()


def test_what_a_process_takes_while_it_looks_is_its_own(idle: Burner) -> None:
    busy = Burner(1.0)
    with LoadMeter(lambda: {"busy": busy.process.pid, "idle": idle.process.pid}) as meter:
        busy.await_burnt()
        found = meter.measured("guarantee")
    busy.end()
    assert meter.over
    assert 0.8 <= found.actors_s["busy"] <= 1.3
    assert found.actors_s["idle"] <= 0.1
    assert found.machine_s >= found.actors_s["busy"] - 0.1
    assert 0 < found.harness_s < found.span_s


def test_what_was_taken_before_does_not_count() -> None:
    busy = Burner(0.5)
    busy.await_burnt()
    with LoadMeter(lambda: {"busy": busy.process.pid}) as meter:
        found = meter.measured("guarantee")
    busy.end()
    assert found.actors_s["busy"] <= 0.1


def test_incarnations_add_up_and_one_that_ended_is_not_forgotten(idle: Burner) -> None:
    first = Burner(0.8)
    living = {"worker-1": first.process.pid}
    with LoadMeter(lambda: dict(living)) as meter:
        first.await_burnt()
        meter.look()
        first.end()
        living["worker-1"] = idle.process.pid
        found = meter.measured("guarantee")
    assert 0.6 <= found.actors_s["worker-1"] <= 1.1
