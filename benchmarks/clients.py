"""One publisher process and one worker process of each client that is measured, and when they did what."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from benchmarks.yardsticks.build import YardstickError
from harness.events import Role
from harness.history.read import read_log
from harness.history.records import HEADER_BYTES, Kind
from harness.traffic.client_name import ClientName
from harness.traffic.spec import PublisherSpec, Route, Target, WorkerSpec, write_spec

BODY_BYTES, WINDOW, PREFETCH, ACK_EVERY = 256, 1000, 500, 100
"""The conditions, which the yardsticks have written in as well."""
PATIENCE_S = 600.0
"""Bound of every wait."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a pair of processes is to do: `messages` through a queue, timed from message number `skip` on."""

    target: Target
    queue: str
    messages: int
    skip: int
    directory: Path


@dataclass(frozen=True, slots=True)
class Times:
    """time.monotonic_ns of the first message, of message number `skip`, and of the last one, which is settled by then."""

    first: int
    mark: int
    last: int


class Running(Protocol):
    """A publisher or worker that runs."""

    def await_ready(self) -> None:
        """Wait until it is connected, and a worker consumes."""

    def go(self) -> None:
        """Let it begin."""

    def finish(self) -> Times:
        """Wait until all is done, end it, and say when it did what. Raises YardstickError."""

    def kill(self) -> None:
        """End it at once, if it still runs."""

    @property
    def logged_bytes(self) -> int:
        """How many bytes of records it has written."""

    @property
    def pid(self) -> int:
        """Its process number."""


Start = Callable[[Role, Task], Running]
"""Starts one end of a client."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client that is measured, by the name that it has in the table."""

    name: str
    start: Start


def program(name: str, command: Sequence[str]) -> Client:
    """Make a client of a yardstick's command."""

    def start(role: Role, task: Task) -> Running:
        verb = "publish" if role == "publisher" else "consume"
        host, port = task.target.addresses[0]
        ends = (host, str(port), task.target.username, task.queue, str(task.messages), str(task.skip))
        return _Talking(f"{name} {verb}", [*command, verb, *ends], {"AMQP_PASSWORD": task.target.password})

    return Client(name, start)


def harness(name: str, client: ClientName, *, recorded: bool = True) -> Client:
    """Make a client of the harness's own processes; without recording they keep nothing but three times."""

    def start(role: Role, task: Task) -> Running:
        log = task.directory / f"{role}.log"
        spec = task.directory / f"{role}.json"
        described = publisher_spec(task, log, client) if role == "publisher" else worker_spec(task, log, client)
        if recorded:
            return recording(role, task, log, described)
        write_spec(described, spec)
        return _Talking(
            f"{name} {role}",
            [sys.executable, "-m", "benchmarks.unrecorded", role, str(spec), *map(str, (task.messages, task.skip))],
        )

    return Client(name, start)


def recording(role: Role, task: Task, log: Path, spec: PublisherSpec | WorkerSpec) -> Running:
    """Start a publisher or worker as the engine does."""
    path = log.with_suffix(".json")
    write_spec(spec, path)
    return _Recording(role, task, log, path)


def publisher_spec(task: Task, log: Path, client: ClientName) -> PublisherSpec:
    """Describe a publisher under the conditions of the bench."""
    return PublisherSpec(
        target=task.target,
        log=str(log),
        actor="publisher-1",
        number=1,
        incarnation=1,
        routes=(Route(task.queue, "", task.queue),),
        messages=task.messages,
        body_bytes=BODY_BYTES,
        window=WINDOW,
        token="bench",  # noqa: S106 - names the run
        client=client,
    )


def worker_spec(task: Task, log: Path, client: ClientName) -> WorkerSpec:
    """Describe a worker under the conditions of the bench."""
    return WorkerSpec(
        target=task.target,
        log=str(log),
        actor="worker-1",
        number=1,
        incarnation=1,
        queue=task.queue,
        queue_names=(task.queue,),
        prefetch=PREFETCH,
        ack_every=ACK_EVERY,
        token="bench",  # noqa: S106 - names the run
        client=client,
    )


class _Process:
    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._name = name
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._popen.pid

    def _say(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()

    def _end(self) -> str:
        """Wait for the end; returns what it has said since."""
        try:
            # Its input stays open: the end of it would end a process of the harness.
            self._popen.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise YardstickError(f"{self._name} was not done after {PATIENCE_S:g} s") from None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        if self._popen.returncode:
            lines = self._popen.stderr.read().strip().splitlines() or ["it says nothing"]
            raise YardstickError(f"{self._name} ended with exit code {self._popen.returncode}: {lines[-1]}")
        return self._popen.stdout.read()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()


class _Talking(_Process):
    """A process that says `ready`, waits for a line, and says its times at the end."""

    logged_bytes = 0

    def await_ready(self) -> None:
        assert self._popen.stdout is not None
        if self._popen.stdout.readline().strip() != "ready":
            self._end()
            raise YardstickError(f"{self._name} ended before it was ready")

    def go(self) -> None:
        self._say("go")

    def finish(self) -> Times:
        return Times(*map(int, self._end().split()))


class _Recording(_Process):
    """A publisher or worker of the harness as the engine runs it; its times come from its log."""

    def __init__(self, role: Role, task: Task, log: Path, spec: Path) -> None:
        super().__init__(role, [sys.executable, "-m", "harness.traffic.process"])
        self._say(f"{role} {spec}")
        self._role: Literal["publisher", "worker"] = role
        self._task = task
        self._log = log

    def await_ready(self) -> None:
        self._await(Kind.CONNECTED if self._role == "publisher" else Kind.CONSUMING, 1)

    def go(self) -> None:
        self._say("go")

    def finish(self) -> Times:
        if self._role == "worker":
            self._await(Kind.DELIVERED, self._task.messages)
            self._say("stop")
        self._end()
        records = read_log(self._log).records
        began = self._of(records, Kind.PUBLISHED if self._role == "publisher" else Kind.DELIVERED)
        settled = self._of(records, Kind.CONFIRMED if self._role == "publisher" else Kind.ACKED)
        return Times(int(began[0]), int(began[self._task.skip]), int(settled[-1]))

    @property
    def logged_bytes(self) -> int:
        return self._log.stat().st_size - HEADER_BYTES

    @staticmethod
    def _of(records: np.ndarray, kind: Kind) -> np.ndarray:
        times: np.ndarray = records["at_ns"][records["kind"] == kind]
        return times

    def _await(self, kind: Kind, count: int) -> None:
        """Wait for so many records; looks seldom, so that looking costs nothing."""

        def there() -> bool:
            if self._popen.poll() is not None:
                return True
            # A log has its size in blocks: only a file that can hold so many records is read.
            if not self._log.exists() or self._log.stat().st_size < HEADER_BYTES + count:
                return False
            return len(self._of(read_log(self._log).records, kind)) >= count

        Retrying(stop=stop_after_delay(PATIENCE_S), wait=wait_fixed(0.5), retry=retry_if_result(lambda done: not done))(
            there
        )
