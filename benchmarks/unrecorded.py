"""A publisher or worker of the harness that keeps no log: what recording costs is the difference to it.

`python -m benchmarks.unrecorded publisher|worker SPEC.json MESSAGES SKIP` behaves as the yardsticks do.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from time import monotonic_ns
from typing import Any

from harness.history.records import Kind, Table
from harness.traffic.connection import Client, serve
from harness.traffic.log import EventLog
from harness.traffic.publisher import Publisher
from harness.traffic.spec import read_publisher_spec, read_worker_spec
from harness.traffic.worker import Worker


class NoLog(EventLog):
    """Notes three times and forgets the rest."""

    def __init__(self, messages: int, skip: int, *, began: Kind, ready: Kind) -> None:
        """Prepare; `began` is the kind of record that is counted, `ready` the one after which it may begin."""
        self._messages, self._skip, self._began, self._ready = messages, skip, began, ready
        self._seen = 0
        self._first = self._mark = self._last = 0

    def write(self, kind: Kind, **_: Any) -> None:
        """Count."""
        if kind is self._began:
            if self._seen == 0:
                self._first = monotonic_ns()
            if self._seen == self._skip:
                self._mark = monotonic_ns()
            self._seen += 1
        elif kind is Kind.CONFIRMED or kind is Kind.ACKED:
            self._last = monotonic_ns()
            if kind is Kind.ACKED and self._seen >= self._messages:
                os.kill(os.getpid(), signal.SIGTERM)  # a worker ends when it is told to
        elif kind is self._ready:
            print("ready", flush=True)  # noqa: T201 - what the bench waits for

    def define(self, _table: Table, _text: str) -> int:
        """Keep no text."""
        return 0

    def close(self) -> None:
        """Say the times."""
        print(self._first, self._mark, self._last)  # noqa: T201 - what the bench reads


def main(role: str, spec: Path, messages: int, skip: int) -> int:
    """Run it; returns the exit code."""

    def make() -> Client:
        if role == "publisher":
            return Publisher(
                read_publisher_spec(spec), NoLog(messages, skip, began=Kind.PUBLISHED, ready=Kind.CONNECTED)
            )
        return Worker(read_worker_spec(spec), NoLog(messages, skip, began=Kind.DELIVERED, ready=Kind.CONSUMING))

    return serve(make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
