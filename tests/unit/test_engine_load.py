"""The meter of load: who was busy, who was not, and who ended while it looked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import psutil
import pytest

from harness.engine.host import HostLoad, machine_id, machine_s
from harness.engine.load import LoadMeter

pytestmark = pytest.mark.seconds

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


def looking_at(living: Mapping[str, Burner]) -> Callable[[], tuple[HostLoad, ...]]:
    """Ask one host, this machine, that runs what `living` holds at the time."""

    def look() -> tuple[HostLoad, ...]:
        times = {name: psutil.Process(burner.process.pid).cpu_times() for name, burner in tuple(living.items())}
        return (
            HostLoad(machine_id(), 2, machine_s(), {name: each.user + each.system for name, each in times.items()}),
        )

    return look


@pytest.fixture
def idle() -> Iterator[Burner]:
    burner = Burner(0)
    burner.await_burnt()
    yield burner
    burner.end()


def test_what_a_process_takes_while_it_looks_is_its_own(idle: Burner) -> None:
    busy = Burner(1.0)
    with LoadMeter(looking_at({"busy.1": busy, "idle.1": idle})) as meter:
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
    with LoadMeter(looking_at({"busy.1": busy})) as meter:
        found = meter.measured("guarantee")
    busy.end()
    assert found.actors_s["busy"] <= 0.1


def test_incarnations_add_up_and_one_that_ended_is_not_forgotten(idle: Burner) -> None:
    first = Burner(0.8)
    living = {"worker-1.1": first}
    with LoadMeter(looking_at(living)) as meter:
        first.await_burnt()
        meter.look()
        del living["worker-1.1"]
        first.end()
        living["worker-1.2"] = idle
        found = meter.measured("guarantee")
    assert 0.6 <= found.actors_s["worker-1"] <= 1.1
