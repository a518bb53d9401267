"""Publisher and worker processes as the engine runs them, driven by hand, and what their logs say."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.flush import flush_metadata
from harness.broker.protocol import Broker, Endpoint
from harness.history.read import EMPTY, Log, read_log
from harness.history.records import HEADER_BYTES, Flag, Kind, LogHeader
from harness.traffic import topology
from harness.traffic.client_name import ClientName
from harness.traffic.collector import collect
from harness.traffic.log import EventLog
from harness.traffic.spec import PublisherSpec, Route, Target, WorkerSpec, write_spec
from harness.traffic.topology import QueueDeclaration

PATIENCE_S = 90.0
"""Bound of every wait: far beyond what is needed, for machines that are slow."""

CLIENTS: Final[tuple[ClientName, ...]] = ("pika", "fast")


def state_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have ledgers, and the data of brokers, below a test's own folder; returns that of the ledgers."""
    state, data = folder / "state", folder / "data"
    data.mkdir()
    monkeypatch.setenv("CHAOS_STATE_DIR", str(state))
    monkeypatch.setenv("TMPDIR", str(data))
    return state


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds; fails with what was waited for."""

    def give_up(_state: object) -> None:
        raise AssertionError(f"waited {PATIENCE_S:g} s in vain for {what}")

    Retrying(
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_fixed(0.02),
        retry=retry_if_result(lambda result: not result),
        retry_error_callback=give_up,
    )(condition)


class Process:
    """One publisher or worker process."""

    def __init__(self, role: str, spec: PublisherSpec | WorkerSpec, directory: Path) -> None:
        """Start it."""
        self.log = Path(spec.log)
        self._errors = directory / f"{spec.actor}.stderr"
        path = directory / f"{spec.actor}.json"
        write_spec(spec, path)
        with self._errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "harness.traffic.process"],
                stdin=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.say(f"{role} {path}")

    def say(self, command: str) -> None:
        """Send a command."""
        assert self.popen.stdin is not None
        os.write(self.popen.stdin.fileno(), f"{command}\n".encode())

    def hang_up(self) -> None:
        """Close its standard input, as the engine's death does."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self.popen.wait(PATIENCE_S)

    def stop(self) -> int:
        """Stop it in order; returns the exit code."""
        self.say("stop")
        return self.wait()

    @property
    def said(self) -> str:
        """What it wrote to standard error."""
        return self._errors.read_text(encoding="utf-8")

    @property
    def read(self) -> Log:
        """Its log so far."""
        return read_log(self.log)

    @property
    def records(self) -> np.ndarray:
        """What it says has happened so far."""
        if not self.log.exists() or self.log.stat().st_size < HEADER_BYTES:
            return EMPTY
        return self.read.events

    def of(self, kind: Kind) -> np.ndarray:
        """Its records of one kind."""
        records = self.records
        found: np.ndarray = records[records["kind"] == kind]
        return found

    def kinds(self) -> list[Kind]:
        """The kinds of its records, in order."""
        return [Kind(kind) for kind in self.records["kind"].tolist()]

    def await_records(self, kind: Kind, count: int = 1) -> None:
        """Wait until it has written so many records of a kind."""
        wait_until(
            lambda: len(self.of(kind)) >= count or self.popen.poll() not in (None, 0),
            f"{count} {kind.name} records of {self.log.stem}",
        )
        assert len(self.of(kind)) >= count, f"{self.log.stem} ended before: {self.said}"

    def published(self) -> list[tuple[int, int]]:
        """(seq, attempt) of everything it published, in order."""
        return [(seq, attempt) for seq, attempt in self.of(Kind.PUBLISHED)[["seq", "attempt"]].tolist()]

    def confirmed(self) -> set[tuple[int, int]]:
        """(seq, attempt) of everything the broker confirmed to it."""
        return self._settled(Kind.CONFIRMED)

    def nacked(self) -> set[tuple[int, int]]:
        """(seq, attempt) of everything the broker refused."""
        return self._settled(Kind.NACKED)

    def _settled(self, kind: Kind) -> set[tuple[int, int]]:
        sent = {(record["connection"], record["tag"]): record for record in self.of(Kind.PUBLISHED)}
        return {
            (int(sent[record["connection"], tag]["seq"]), int(sent[record["connection"], tag]["attempt"]))
            for record in self.of(kind)
            for tag in range(record["tag"], record["tag"] + record["arg"])
        }

    def processed(self) -> list[int]:
        """Sequence numbers of completed work, in order."""
        records = self.records
        done = (records["kind"] == Kind.COMPLETED) | (
            (records["kind"] == Kind.DELIVERED) & ((records["flags"] & Flag.DONE) != 0)
        )
        return [int(seq) for seq in records[done]["seq"]]

    def acked_tags(self) -> list[int]:
        """Delivery tags it acknowledged, in order."""
        return [tag for record in self.of(Kind.ACKED) for tag in range(record["tag"], record["tag"] + record["arg"])]


class Stage:
    """A queue of its own on a broker, and the processes around it."""

    def __init__(self, broker: Broker, directory: Path, client: ClientName) -> None:
        """Prepare; declares nothing. `client` is that of every process that says no other."""
        self.broker = broker
        self.client = client
        self.directory = directory
        self.token = secrets.token_hex(3)
        self.queue = f"tasks-{self.token}"
        self.processes: list[Process] = []
        self._collections = 0

    def target(self, **changes: Any) -> Target:
        """Where the broker is."""
        endpoint: Endpoint = self.broker.endpoint()
        settings: dict[str, Any] = {"username": endpoint.username, "password": endpoint.password} | changes
        return Target(addresses=((endpoint.host, endpoint.port),), **settings)

    def declare(self, *, durable: bool = True, queue: str | None = None, **arguments: Any) -> str:
        """Declare the stage's queue, or another; arguments have underscores for dashes and no `x-`."""
        declaration = QueueDeclaration(
            queue or self.queue,
            durable=durable,
            arguments={f"x-{name.replace('_', '-')}": value for name, value in arguments.items()},
        )
        topology.declare(self.target(), [], [declaration], [])
        return declaration.name

    def settle(self) -> None:
        """Have what was declared on disk: a queue declared in the last moment before a SIGKILL does not survive it."""
        flush_metadata(self.broker)

    def publisher(self, *, go: bool = True, **settings: Any) -> Process:
        """Start a publisher to the stage's queue."""
        number = len(self.processes) + 1
        defaults: dict[str, Any] = {
            "target": self.target(),
            "log": str(self.directory / f"publisher-{number}.log"),
            "actor": f"publisher-{number}",
            "number": 1,
            "incarnation": 1,
            "routes": (Route("tasks", "", self.queue),),
            "token": self.token,
            "client": self.client,
        }
        return self._start("publisher", PublisherSpec(**defaults | settings), go=go)

    def worker(self, **settings: Any) -> Process:
        """Start a worker on the stage's queue."""
        number = len(self.processes) + 1
        queue = settings.pop("queue", self.queue)
        defaults: dict[str, Any] = {
            "target": self.target(),
            "log": str(self.directory / f"worker-{number}.log"),
            "actor": f"worker-{number}",
            "number": number,
            "incarnation": 1,
            "queue": queue,
            "queue_names": (queue,),
            "token": self.token,
            "client": self.client,
        }
        return self._start("worker", WorkerSpec(**defaults | settings), go=False)

    def _start(self, role: str, spec: PublisherSpec | WorkerSpec, *, go: bool) -> Process:
        process = Process(role, spec, self.directory)
        self.processes.append(process)
        if go:
            process.say("go")
        return process

    def publish(self, messages: int, **settings: Any) -> Process:
        """Publish so many messages to the end."""
        publisher = self.publisher(messages=messages, **settings)
        assert publisher.wait() == 0, publisher.said
        return publisher

    def left(self, queues: Sequence[str] | None = None) -> np.ndarray:
        """Read what is left in the queues: FOUND records."""
        return self.collected(queues).events

    def collected(self, queues: Sequence[str] | None = None) -> Log:
        """Read what is left in the queues into a log."""
        self._collections += 1
        path = self.directory / f"collector-{self._collections}.log"
        names = tuple(queues or (self.queue,))
        log = EventLog(path, LogHeader("collector", "collector", 0, 1, os.getpid(), names))
        collect(self.target(), names, log, self.token)
        log.close()
        return read_log(path)

    def ready(self, queue: str | None = None) -> int | None:
        """How many messages are ready in a queue."""
        name = queue or self.queue
        return topology.ready_messages(self.target(), [name])[name]

    def close(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()
            if process.popen.stdin is not None:
                process.popen.stdin.close()
