"""How a proxy's process is commanded: JSON lines on its standard input, each answered by one on its standard output.

The first line says what the program is to do, in words of its own. Each later one asks for a listener: [client's name, broker's host, its
port]; the answer is {"port": ...}, on 127.0.0.1, or {"error": ...}. End of file ends the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from harness.errors import BrokerError
from harness.interrupts import shielded
from harness.proxy.loop import READABLE, Loop
from harness.proxy.proxy import Address, Proxy

STDIN, STDOUT = 0, 1


class Commanded:
    """A proxy's process, from its own side."""

    def __init__(self) -> None:
        """Read the first line: `task`."""
        self.task: Any = json.loads(self._first_line())
        self._input = b""

    def serve(self, loop: Loop, proxy: Proxy) -> None:
        """Run the loop, and listen for whom it is asked, until standard input ends."""

        def read(_events: int) -> None:
            data = os.read(STDIN, 65_536)
            if not data:
                loop.stop()
            *lines, self._input = (self._input + data).split(b"\n")
            for line in lines:
                os.write(STDOUT, json.dumps(_listen(proxy, *json.loads(line))).encode() + b"\n")

        loop.watch(STDIN, READABLE, read)
        loop.run()

    @staticmethod
    def _first_line() -> bytes:
        """Read a line, and not a byte more: what follows is for the loop."""
        line = b""
        while (byte := os.read(STDIN, 1)) not in (b"", b"\n"):
            line += byte
        return line


def _listen(proxy: Proxy, name: str, host: str, port: int) -> dict[str, object]:
    try:
        return {"port": proxy.listen(name, (host, port))}
    except OSError as error:
        return {"error": error.strerror}


class ProxyProcess:
    """A proxy's process, from the side of whoever needs it. Any thread may call it."""

    def __init__(self, module: str, task: object, started: Callable[[int], None]) -> None:
        """Start `python -m module` for a task; `started` takes its number."""
        self._lock = threading.Lock()
        with shielded():
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                text=True,
                bufsize=1,
            )
            started(self._process.pid)
        self._say(task)

    def listen(self, name: str, broker: Address) -> int:
        """Let it listen for a client; returns the port on 127.0.0.1. Raises BrokerError."""
        with self._lock:
            self._say([name, *broker])
            assert self._process.stdout is not None  # noqa: S101 - it has a pipe
            line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process has ended; standard error says why"}
        if "error" in answer:
            raise BrokerError(f"the proxy between {name} and the broker cannot listen: {answer['error']}")
        return int(answer["port"])

    def failure(self) -> str | None:
        """Say that it has ended by itself; None while it runs."""
        code = self._process.poll()
        return None if code is None else f"the proxy between clients and broker exited unexpectedly with code {code}"

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()

    def _say(self, what: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it has a pipe
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
        except BrokenPipeError:
            return  # its answer is missing then, which says so
