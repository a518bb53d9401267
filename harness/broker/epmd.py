"""A port mapper of one's own: Erlang nodes find each other through it, and none but this broker's knows it."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from tenacity import RetryError, retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker.ports import HOST, Reservation
from harness.errors import BrokerError
from harness.interrupts import shielded
from harness.ledger import Ledger

START_TIMEOUT_S = 10.0
_POLL_S = 0.02


class Epmd:
    """One epmd on 127.0.0.1, as a child process; started before the nodes, which would start a lasting one otherwise."""

    def __init__(self, program: Path, environment: Mapping[str, str], folder: Path, ledger: Ledger) -> None:
        """Reserve its port; nothing is started."""
        self._program = program
        self._environment = dict(environment)
        self._folder = folder
        self._ledger = ledger
        self._reservation = Reservation()
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    @property
    def port(self) -> int:
        """Where it listens; the same for its life."""
        return self._reservation.port

    def ensure(self) -> None:
        """Start it if it does not run; returns when it listens. Raises BrokerError. Any thread may ask for it."""
        with self._starting:
            self._ensure()

    def _ensure(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        with shielded():
            process = self._process = subprocess.Popen(
                [str(self._program), "-address", HOST, "-port", str(self.port)],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._ledger.add_process(process.pid)

        @retry(
            stop=stop_after_delay(START_TIMEOUT_S), wait=wait_fixed(_POLL_S), retry=retry_if_result(lambda up: not up)
        )
        def listens() -> bool:
            if process.poll() is not None:
                raise BrokerError(
                    f"{self._program} ended with exit code {process.returncode} at once; its port {self.port} on {HOST} was "
                    "taken (eaddrinuse), or it cannot be run here"
                )
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((HOST, self.port)) == 0

        try:
            listens()
        except RetryError as error:
            raise BrokerError(
                f"{self._program} did not listen on {HOST}:{self.port} within {START_TIMEOUT_S:g} s"
            ) from error

    def end(self) -> None:
        """End it and let its port go; safe to call any number of times."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._reservation.release()
