"""The external backend: a broker that exists already. It is never started or ended; faults are commands that the scenario names."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from urllib.parse import quote

from harness.broker.abilities import abilities
from harness.broker.address import parse_url
from harness.broker.debian import last_line
from harness.broker.outage import held_connection
from harness.broker.protocol import (
    CONTROL_TIMEOUT_S,
    Ability,
    BrokerSettings,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.broker.ready import server_versions, wait_until_ready
from harness.errors import BrokerError
from harness.masking import MASK, without_passwords
from harness.traffic.greeting import greet

COMMAND_TIMEOUT_S = 120.0
"""How long a command may take: no longer than all healing at the end of a run."""
START_WAIT_S = 10.0
"""How long a broker that somebody else runs is waited for at the start: it may be booting."""
LOOK_TIMEOUT_S = 2.0
"""How long it may take to greet, when it is looked at whether it lives."""
OUTAGE_TIMEOUT_S = 30.0
"""How long after a command that ends or restarts the broker its connections may take to break."""
DEFAULT_PASSWORD = "guest"  # noqa: S105 - RabbitMQ's own, no secret, and the user's name as well


class ExternalBroker:
    """Somebody's broker at an AMQP URL."""

    name = "external"

    def __init__(
        self,
        settings: BrokerSettings,
        url: str,
        commands: Mapping[str, str],
        *,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
        outage_timeout_s: float = OUTAGE_TIMEOUT_S,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Prepare. `commands` are shell command lines by what they do: restart, kill, pause, resume, start, stop.

        `say` takes a line for people, while it is waited for.
        """
        self._say = say
        self._command_timeout_s = command_timeout_s
        self._outage_timeout_s = outage_timeout_s
        self._settings = settings
        self._endpoint = parse_url(url)
        self._commands = dict(commands)
        self.abilities: frozenset[Ability] = abilities("external", commands)

    @property
    def nodes(self) -> tuple[str, ...]:
        """One node as far as the harness knows."""
        return (f"{self._endpoint.host}:{self._endpoint.port}",)

    def start(self) -> None:
        """Wait until it answers, for a short while where it may be booting. Raises BrokerError."""
        wait_s = min(START_WAIT_S, self._settings.start_timeout_s)
        wait_until_ready(
            self._endpoint,
            wait_s,
            give_up=True,
            on_wait=lambda why: self._say(f"{why}; waiting up to {wait_s:g} s, in case it is booting"),
        )

    def endpoint(self, node: int = 0) -> Endpoint:  # noqa: ARG002 - one node
        """Where clients connect to."""
        return self._endpoint

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:  # noqa: ARG002
        """Wait for handshake and login."""
        wait_until_ready(self._endpoint, timeout_s or self._settings.start_timeout_s)

    def stop(self, node: int = 0) -> StopReport:  # noqa: ARG002
        """Run `stop`; without it `restart` does both, and the start that follows only waits. Clean if its connections broke."""
        what = "stop" if "stop" in self._commands else "restart"
        if self._run_until_down(what):
            return StopReport(clean=True, exit_code=None, detail="by the scenario's command")
        return StopReport(
            clean=False,
            exit_code=None,
            detail=f"a connection outlived broker.commands.{what} by {self._outage_timeout_s:g} s; does it end this broker?",
        )

    def start_node(self, node: int = 0) -> None:
        """Run `start` if there is one, and wait until it answers."""
        if "start" in self._commands:
            self._run("start")
        self.ready(node)

    def kill(self, node: int = 0) -> None:  # noqa: ARG002
        """Run `kill`, and wait until a connection is seen to break."""
        self._run_until_down("kill")

    def pause(self, node: int = 0) -> None:  # noqa: ARG002
        """Run `pause`."""
        self._run("pause")

    def resume(self, node: int = 0) -> None:  # noqa: ARG002
        """Run `resume`."""
        self._run("resume")

    def alive(self, node: int = 0) -> bool:  # noqa: ARG002
        """Whether it answers the handshake. Its process cannot be seen: no answer is a BrokerError."""
        greet(self._endpoint.host, self._endpoint.port, tls=self._endpoint.tls, within_s=LOOK_TIMEOUT_S)
        return True

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:  # noqa: ARG002
        """Refuse: nobody gave the harness a way to run rabbitmqctl there."""
        raise BrokerError(f"rabbitmqctl {arguments[0]} cannot be run on an external broker")

    def versions(self) -> BrokerVersions:
        """What the broker says in its handshake."""
        return server_versions(self._endpoint)

    def logs(self) -> dict[str, str]:
        """Nothing: its logs are elsewhere."""
        return {}

    def destroy(self) -> None:
        """Leave the broker alone."""

    def _run_until_down(self, what: str) -> bool:
        with held_connection(self._endpoint) as connection:
            self._run(what)
            return connection.broke(self._outage_timeout_s)

    def _run(self, what: str) -> None:
        command = self._commands.get(what)
        if command is None:
            raise BrokerError(f"the scenario names no command to {what} the external broker (broker.commands.{what})")
        # Not a pipe: what the command leaves running in the background would hold it open.
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(  # noqa: S602 - a command line is what the scenario's author writes
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(self._command_timeout_s)
            except subprocess.TimeoutExpired as error:
                raise BrokerError(f"broker.commands.{what} did not end within {self._command_timeout_s:g} s") from error
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if code != 0:
                output.seek(0)
                said = self._masked(last_line(output.read().decode(errors="replace")))
                raise BrokerError(f"broker.commands.{what} ended with exit code {code}: {said}")

    def _masked(self, text: str) -> str:
        password = self._endpoint.password
        if password != DEFAULT_PASSWORD:
            for form in {password, quote(password, safe="")}:
                text = text.replace(form, MASK)
        return without_passwords(text)
