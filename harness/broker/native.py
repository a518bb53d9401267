"""The native backend: rabbitmq-server as a child process, with everything of its own, so that nothing else is touched."""

from __future__ import annotations

import os
import resource
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.broker.awake import processors_awake
from harness.broker.cluster import wait_until_formed
from harness.broker.epmd import Epmd
from harness.broker.install import Installation
from harness.broker.native_node import NativeNode
from harness.broker.ports import HOST
from harness.broker.protocol import (
    CONTROL_TIMEOUT_S,
    Ability,
    BrokerSettings,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.broker.ready import wait_until_ready
from harness.errors import BrokerError
from harness.ledger import Ledger, remove_directory
from harness.plain import plain

START_ATTEMPTS = 3
"""How often to start with other ports when one was taken in between."""
LASTING = Path("/var/tmp")  # noqa: S108 - a private folder is made in it
"""On a disk by the hierarchy standard (FHS 5.15), where /tmp is memory on many systems."""

LEAST_OPEN_FILES = 128
"""Measured on RabbitMQ 3.10.8: with 64 it never answered, with 128 it booted."""
_UNFIT = {"'": "single quote", '"': "double quote", "`": "backquote"}


def data_place() -> Path:
    """Return where brokers keep their data: TMPDIR if it is set, else a temporary place that is on a disk."""
    if not os.environ.get("TMPDIR") and os.access(LASTING, os.W_OK):
        return LASTING
    return Path(tempfile.gettempdir())


def place_fault(place: Path) -> str | None:
    """Say why rabbitmq-server cannot keep its data in a place: it would hang instead of answering. None for a place that will do.

    Measured on RabbitMQ 3.10.8: its scripts hand names on to a shell and to Erlang, which quotes end there. Spaces, line ends,
    dollar signs, backslashes and all other marks do no harm.
    """
    found = [f"a {words}" for mark, words in _UNFIT.items() if mark in str(place)]
    if any("\udc80" <= character <= "\udcff" for character in str(place)):
        found.append("bytes that are not UTF-8")
    if not found:
        return None
    return (
        f"rabbitmq-server cannot keep its data in {plain(str(place))}: the name of that folder holds {' and '.join(found)}; "
        "name another folder in TMPDIR"
    )


def open_files_fault() -> str | None:
    """Say why rabbitmq-server would open too few files to boot: it would hang. None where the limit lets it."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed == resource.RLIM_INFINITY or allowed >= LEAST_OPEN_FILES:
        return None
    return (
        f"rabbitmq-server needs {LEAST_OPEN_FILES} open files, and a process may have {allowed} here (ulimit -H -n); "
        "raise the limit, and try again"
    )


class NativeBroker:
    """One node, or a cluster of several, as child processes on 127.0.0.1.

    Data lies in a private folder and goes with `destroy`; logs lie in the run's directory and stay.
    """

    name = "native"
    abilities = frozenset({Ability.RESTART, Ability.KILL, Ability.PAUSE, Ability.CONTROL})

    def __init__(self, settings: BrokerSettings, installation: Installation, ledger: Ledger) -> None:
        """Prepare; nothing is started."""
        self._settings = settings
        self._installation = installation
        self._ledger = ledger
        self._folder: Path | None = None
        self._epmd: Epmd | None = None
        self._nodes: list[NativeNode] = []

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(node.name for node in self._nodes)

    def start(self) -> None:
        """Make the data folder, start epmd and the nodes; returns when each answers and, if several, they are a cluster."""
        for attempt in range(START_ATTEMPTS):
            try:
                self._provision()
                self._start_all()
            except BrokerError as error:
                clashed = "eaddrinuse" in str(error) or any(node.clashed() for node in self._nodes)
                self.destroy()
                if not clashed or attempt == START_ATTEMPTS - 1:
                    raise
            except OSError as error:
                self.destroy()
                raise BrokerError(
                    f"rabbitmq-server could not be started in {self._folder or data_place()}: {error}; make room there, or name "
                    "another place in TMPDIR"
                ) from error
            else:
                return

    def _provision(self) -> None:
        self.destroy()
        folder = self._folder = self._ledger.make_directory(data_place(), "broker")
        cookie = folder / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(20), encoding="ascii")
        cookie.chmod(0o400)
        logs = self._settings.directory / "broker"
        logs.mkdir(parents=True, exist_ok=True)
        environment = (
            self._installation.environment
            | self._ledger.environment
            | {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "ERL_EPMD_ADDRESS": HOST}
        )
        self._epmd = Epmd(self._installation.epmd, environment, folder, self._ledger)
        environment["ERL_EPMD_PORT"] = str(self._epmd.port)
        names = [f"n{number}@localhost" for number in range(1, self._settings.nodes + 1)]
        self._nodes = []
        for name in names:
            node = NativeNode(
                name, folder / name.partition("@")[0], logs / f"{name}.log", self._installation, self._ledger
            )
            self._nodes.append(node)
            # The first one waits for nobody, the others join it: no two can meet half-born and form two clusters.
            node.configure(self._settings, () if name == names[0] else (names[0], name), environment)

    def _start_all(self) -> None:
        """Start the first node, then all others at once."""
        assert self._epmd is not None  # noqa: S101 - made by _provision
        self._epmd.ensure()
        for group in (range(1), range(1, len(self._nodes))):
            with processors_awake():
                for index in group:
                    self._nodes[index].spawn()
                for index in group:
                    self.ready(index)
        wait_until_formed(self, self._settings.start_timeout_s)

    def endpoint(self, node: int = 0) -> Endpoint:
        """Where clients connect to."""
        return self._nodes[node].endpoint

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait for handshake and login; a boot that fails is told at once, with the log's telling lines."""
        chosen = self._nodes[node]
        bound = self._settings.start_timeout_s if timeout_s is None else timeout_s
        wait_until_ready(chosen.endpoint, bound, gone=chosen.boot_failure)

    def stop(self, node: int = 0) -> StopReport:
        """Stop with SIGTERM; SIGKILL when the grace runs out."""
        return self._nodes[node].stop(self._settings.stop_timeout_s)

    def start_node(self, node: int = 0) -> None:
        """Start a node again with its data; nothing happens to one that runs."""
        assert self._epmd is not None  # noqa: S101 - start comes first
        with processors_awake():
            if not self._nodes[node].alive():
                self._epmd.ensure()
                self._nodes[node].spawn()
            self.ready(node)

    def kill(self, node: int = 0) -> None:
        """SIGKILL of the Erlang VM and all it started."""
        self._nodes[node].kill()

    def pause(self, node: int = 0) -> None:
        """SIGSTOP of the Erlang VM and all it started."""
        self._nodes[node].pause()

    def resume(self, node: int = 0) -> None:
        """SIGCONT."""
        self._nodes[node].resume()

    def alive(self, node: int = 0) -> bool:
        """Whether the Erlang VM is there."""
        return self._nodes[node].alive()

    def control(self, *arguments: str, node: int = 0, timeout_s: float = CONTROL_TIMEOUT_S) -> ControlResult:
        """Run rabbitmqctl with this broker's own epmd and cookie."""
        return self._nodes[node].control(*arguments, timeout_s=timeout_s)

    def versions(self) -> BrokerVersions:
        """Return what is installed, which is what runs."""
        return BrokerVersions(rabbitmq=self._installation.version, erlang=self._installation.erlang_version)

    def logs(self) -> dict[str, str]:
        """Return each node's log so far; still there after `destroy`."""
        return {node.name: node.log() for node in self._nodes}

    def destroy(self) -> None:
        """End every process and remove the data; the logs stay."""
        try:
            for node in self._nodes:
                node.release()
        finally:
            if self._epmd is not None:
                self._epmd.end()
            if self._folder is not None and self._folder.exists():
                with suppress(OSError):  # what stays is written down for the next sweep
                    remove_directory(self._folder)
