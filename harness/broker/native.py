"""The native backend: rabbitmq-server as a child process, with everything of its own, so that nothing else is touched."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness.broker import config
from harness.broker.cluster import wait_until_formed
from harness.broker.install import Installation
from harness.broker.ports import free_port
from harness.broker.protocol import (
    Ability,
    BrokerSettings,
    BrokerVersions,
    ControlResult,
    Endpoint,
    StopReport,
)
from harness.broker.ready import wait_until_ready
from harness.errors import BrokerError
from harness.ledger import Ledger

HOST = "127.0.0.1"
START_ATTEMPTS = 3
"""How often to start with other ports when one was taken in between."""


@dataclass(slots=True)
class _Node:
    name: str
    directory: Path
    amqp_port: int
    dist_port: int
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.directory / "console.log"


class NativeBroker:
    """One node, or a cluster of several, as child processes on 127.0.0.1."""

    name = "native"
    abilities = frozenset({Ability.RESTART, Ability.KILL, Ability.PAUSE, Ability.CONTROL})

    def __init__(self, settings: BrokerSettings, installation: Installation, ledger: Ledger) -> None:
        """Prepare; nothing is started."""
        self._settings = settings
        self._installation = installation
        self._ledger = ledger
        self._directory: Path | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_port = 0
        self._nodes: list[_Node] = []
        self._last_logs: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(node.name for node in self._nodes)

    def start(self) -> None:
        """Make the data directory, start epmd and the nodes; waits until each answers and, if several, they are a cluster."""
        for attempt in range(START_ATTEMPTS):
            try:
                self._provision()
                for node in self._nodes:
                    self._spawn(node)
                for index in range(len(self._nodes)):
                    self.ready(index)
                wait_until_formed(self, self._settings.start_timeout_s)
            except BrokerError:
                clash = any("eaddrinuse" in self._read_log(node) for node in self._nodes)
                self.destroy()
                if not clash or attempt == START_ATTEMPTS - 1:
                    raise
            else:
                return

    def _provision(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="chaos-broker-"))
        self._ledger.add_directory(self._directory)
        cookie = self._directory / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20), encoding="utf-8")
        cookie.chmod(0o400)
        self._epmd_port = free_port()
        self._epmd = subprocess.Popen(
            [str(self._installation.epmd), "-address", HOST, "-port", str(self._epmd_port)],
            env=self._base_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._ledger.add_process(self._epmd.pid)
        names = [f"n{number}@localhost" for number in range(1, self._settings.nodes + 1)]
        self._nodes = [
            _Node(name, self._directory / name.partition("@")[0], free_port(), free_port()) for name in names
        ]
        for node in self._nodes:
            node.directory.mkdir()
            settings = self._settings
            listener = f"{HOST}:{node.amqp_port}"
            (node.directory / "rabbitmq.conf").write_text(
                config.render(settings.config, listener=listener, cluster=names)
            )
            (node.directory / "advanced.config").write_text(config.render_advanced(settings.permit))
            (node.directory / "enabled_plugins").write_text(config.render_plugins(settings.plugins))
            (node.directory / "rabbitmq-env.conf").touch()

    def _base_environment(self) -> dict[str, str]:
        return self._installation.environment() | {
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
        }

    def _environment(self, node: _Node) -> dict[str, str]:
        folder = node.directory
        return self._base_environment() | {
            "RABBITMQ_NODENAME": node.name,
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(node.amqp_port),
            "RABBITMQ_DIST_PORT": str(node.dist_port),
            "RABBITMQ_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false",
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, node: _Node) -> None:
        with node.log.open("ab") as log:
            node.process = subprocess.Popen(
                [str(self._installation.home / "sbin" / "rabbitmq-server")],
                env=self._environment(node),
                cwd=node.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._ledger.add_process(node.process.pid)

    def endpoint(self, node: int = 0) -> Endpoint:
        """Where clients connect to."""
        return Endpoint(HOST, self._nodes[node].amqp_port)

    def ready(self, node: int = 0, *, timeout_s: float | None = None) -> None:
        """Wait for handshake and login; a boot that fails is told at once, with the log's telling line."""
        chosen = self._nodes[node]

        def gone() -> str | None:
            if chosen.process is None or chosen.process.poll() is None:
                return None
            return (
                f"rabbitmq-server {chosen.name} ended with exit code {chosen.process.returncode} "
                f"while it was starting: {self._telling_line(chosen)}"
            )

        wait_until_ready(self.endpoint(node), timeout_s or self._settings.start_timeout_s, gone=gone)

    def stop(self, node: int = 0) -> StopReport:
        """Stop with SIGTERM; SIGKILL when the grace runs out."""
        process = self._process(node)
        self.resume(node)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(self._settings.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self.kill(node)
            return StopReport(False, process.returncode, f"it took SIGKILL after {self._settings.stop_timeout_s:g} s")
        return StopReport(process.returncode == 0, process.returncode)

    def start_node(self, node: int = 0) -> None:
        """Start a node again with its data."""
        chosen = self._nodes[node]
        if chosen.process is not None and chosen.process.poll() is None:
            return
        self._spawn(chosen)
        self.ready(node)

    def kill(self, node: int = 0) -> None:
        """SIGKILL of the Erlang VM and of what it started."""
        process = self._process(node)
        children = _children(process.pid)
        process.kill()
        process.wait()
        for child in children:
            _kill(child)

    def pause(self, node: int = 0) -> None:
        """SIGSTOP."""
        self._process(node).send_signal(signal.SIGSTOP)

    def resume(self, node: int = 0) -> None:
        """SIGCONT."""
        process = self._nodes[node].process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def alive(self, node: int = 0) -> bool:
        """Whether the Erlang VM is there."""
        process = self._nodes[node].process
        return process is not None and process.poll() is None

    def control(self, *arguments: str, node: int = 0, timeout_s: float = 30.0) -> ControlResult:
        """Run rabbitmqctl with this broker's own epmd and cookie."""
        chosen = self._nodes[node]
        try:
            done = subprocess.run(
                [str(self._installation.home / "sbin" / "rabbitmqctl"), "-q", *arguments],
                env=self._environment(chosen),
                cwd=chosen.directory,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"rabbitmqctl {arguments[0]} did not answer within {timeout_s:g} s") from error
        return ControlResult(done.returncode, done.stdout, done.stderr)

    def versions(self) -> BrokerVersions:
        """RabbitMQ's version, and Erlang's release."""
        releases = sorted(
            path.name for path in (self._installation.erlang / "releases").glob("[0-9]*") if path.is_dir()
        )
        return BrokerVersions(rabbitmq=self._installation.version, erlang=releases[-1] if releases else "")

    def logs(self) -> dict[str, str]:
        """Each node's console log so far."""
        if self._directory is None:
            return self._last_logs
        return {node.name: self._read_log(node) for node in self._nodes}

    def destroy(self) -> None:
        """End every process and remove the data; the logs stay readable through `logs`."""
        if self._directory is None:
            return
        self._last_logs = {node.name: self._read_log(node) for node in self._nodes}
        for node in self._nodes:
            if node.process is not None and node.process.poll() is None:
                children = _children(node.process.pid)
                node.process.kill()
                node.process.wait()
                for child in children:
                    _kill(child)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def _process(self, node: int) -> subprocess.Popen[bytes]:
        process = self._nodes[node].process
        if process is None:
            raise BrokerError(f"node {self._nodes[node].name} was never started")
        return process

    @staticmethod
    def _read_log(node: _Node) -> str:
        return node.log.read_text(encoding="utf-8", errors="replace") if node.log.exists() else ""

    def _telling_line(self, node: _Node) -> str:
        lines = [line.strip() for line in self._read_log(node).splitlines() if line.strip()]
        telling = [
            line for line in lines if any(word in line.lower() for word in ("error", "failed", "eaddrinuse", "refused"))
        ]
        chosen = (telling or lines or ["it said nothing"])[0]
        return chosen[:300]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
