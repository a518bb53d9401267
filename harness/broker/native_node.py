"""One RabbitMQ node as a child process: its folder, its environment, its signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from harness.broker import boot_failure, config, erl_call
from harness.broker.install import Installation
from harness.broker.ports import HOST, Reservation
from harness.broker.protocol import BrokerSettings, ControlResult, Endpoint, StopReport
from harness.errors import BrokerError
from harness.interrupts import shielded
from harness.ledger import Ledger

SIGNAL_TIMEOUT_S = 10.0
"""How long the kernel may take to end or to freeze a process."""
_POLL_S = 0.01
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
"""A zombie has ended: it only waits for its parent, which for an orphan is the system's first process, to take notice."""
_OWN_SETTINGS = ("-kernel inet_dist_use_interface {127,0,0,1}", "-start_epmd false")
_WITH_FILES = (
    # A storm of connections needs more than the usual 1024; Erlang sizes its tables by the limit, so not without a bound.
    'ulimit -S -n 65536 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"; exec "$0" "$@"'
)


class NativeNode:
    """A node with a data folder, ports and a log of its own. Ports stay the same for its life."""

    def __init__(self, name: str, folder: Path, log: Path, installation: Installation, ledger: Ledger) -> None:
        """Reserve its ports; nothing is started. The folder is made by `configure`, the log's folder must be there."""
        self.name = name
        self._folder = folder
        self._log = log
        self._installation = installation
        self._ledger = ledger
        self._amqp = Reservation()
        self._dist = Reservation()
        self._plugins: dict[str, Reservation] = {}
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._booted_at = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where clients connect to."""
        return Endpoint(HOST, self._amqp.port)

    def configure(self, settings: BrokerSettings, cluster: Sequence[str], environment: Mapping[str, str]) -> None:
        """Write its files. `environment` is what all nodes share. Raises BrokerError for a setting that cannot be written."""
        missing = [name for name in settings.plugins if not self._installation.has_plugin(name)]
        if missing:
            raise BrokerError(
                f"broker.plugins: RabbitMQ {self._installation.version} in {self._installation.home} has no plugin "
                f"{', '.join(missing)}; correct the name, or install the plugin"
            )
        parts = dict.fromkeys(part for name in settings.plugins for part in config.PLUGIN_LISTENERS.get(name, ()))
        self._plugins = {part: Reservation() for part in parts}
        folder = self._folder
        folder.mkdir()
        (folder / "rabbitmq.conf").write_text(
            config.render(
                settings.config,
                listener=f"{HOST}:{self._amqp.port}",
                cluster=cluster,
                plugin_listeners={part: (HOST, port.port) for part, port in self._plugins.items()},
            ),
            encoding="utf-8",
        )
        (folder / "advanced.config").write_text(
            config.render_advanced(settings.permit, cluster=cluster), encoding="utf-8"
        )
        (folder / "enabled_plugins").write_text(config.render_plugins(settings.plugins), encoding="utf-8")
        (folder / "rabbitmq-env.conf").touch()
        # Everything that has a default below /etc/rabbitmq or /var is named, so that a system-wide RabbitMQ is never met.
        self._environment = dict(environment) | {
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self._amqp.port),
            "RABBITMQ_DIST_PORT": str(self._dist.port),
            "RABBITMQ_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d/*.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(_OWN_SETTINGS),
            "RABBITMQ_CTL_ERL_ARGS": " ".join(_OWN_SETTINGS),
            # The script then becomes the Erlang VM, which is so the child itself, and handles SIGTERM.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_CRASH_DUMP_SECONDS": "0",
        }

    def spawn(self) -> None:
        """Start the process, in a session of its own: a terminal's Ctrl-C does not reach it."""
        with self._log.open("ab") as log, shielded():
            self._booted_at = log.tell()
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WITH_FILES, str(self._installation.server)],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._ledger.add_process(self._process.pid)

    def boot_failure(self) -> str | None:
        """Say why it can never answer: its process has ended. None while it runs."""
        if self._process is None:
            return f"{self.name} was not started"
        code = self._process.poll()
        if code is None:
            return None
        return f"rabbitmq-server {self.name} ended with exit code {code} instead of answering: {self._reason()}"

    def clashed(self) -> bool:
        """Whether the last boot failed because a port was taken."""
        return boot_failure.clashed(self._last_boot())

    def alive(self) -> bool:
        """Whether the Erlang VM is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def stop(self, grace_s: float) -> StopReport:
        """SIGTERM, and SIGKILL when the grace runs out. Raises BrokerError if it does not run."""
        process = self._running()
        self.resume()
        process.terminate()
        try:
            code = process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return StopReport(False, process.returncode, f"it took SIGKILL after {grace_s:g} s")
        return StopReport(code == 0, code, "" if code == 0 else self._reason())

    def kill(self) -> None:
        """SIGKILL the VM first, then what it had started; returns when all are seen to be dead. Raises BrokerError."""
        process = self._running()
        children = _children(process)
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        try:
            process.wait(SIGNAL_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"{self.name} was not dead {SIGNAL_TIMEOUT_S:g} s after SIGKILL; does its disk hang?"
            ) from error
        if not _all(children, _ENDED):
            raise BrokerError(f"helpers of {self.name} were not dead {SIGNAL_TIMEOUT_S:g} s after SIGKILL; see `ps`")

    def pause(self) -> None:
        """SIGSTOP the VM and what it had started; returns when all are seen to stand still. Raises BrokerError."""
        process = self._running()
        family = [psutil.Process(process.pid), *_children(process)]
        _signal(family, signal.SIGSTOP)
        if not _all(family, (*_ENDED, psutil.STATUS_STOPPED)):
            raise BrokerError(f"{self.name} was not frozen {SIGNAL_TIMEOUT_S:g} s after SIGSTOP; does its disk hang?")

    def resume(self) -> None:
        """SIGCONT; nothing happens to what is not frozen or not there."""
        if self._process is not None and self._process.poll() is None:
            _signal([*_children(self._process), psutil.Process(self._process.pid)], signal.SIGCONT)

    def control(self, *arguments: str, timeout_s: float) -> ControlResult:
        """Run rabbitmqctl; `eval` goes through erl_call where that works, see there. Raises BrokerError when it does not answer in time."""
        match arguments:
            case ("eval", expression) if self._installation.erl_call.exists():
                done = self._run(
                    arguments,
                    [self._installation.erl_call, *erl_call.arguments(self.name)],
                    f"{expression}\n",
                    timeout_s,
                )
                if (answer := erl_call.answer(done)) is not None:
                    return answer
        return self._run(arguments, [self._installation.control, "-q", *arguments], "", timeout_s)

    def _run(self, asked: Sequence[str], command: Sequence[str | Path], said: str, timeout_s: float) -> ControlResult:
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                cwd=self._folder,
                input=said,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(
                f"rabbitmqctl {asked[0]} on {self.name} did not answer within {timeout_s:g} s; is the node frozen or busy?"
            ) from error
        except OSError as error:
            raise BrokerError(f"rabbitmqctl on {self.name} could not be run: {error}") from error
        return ControlResult(done.returncode, done.stdout, done.stderr)

    def log(self) -> str:
        """Return what it wrote so far, over all its starts."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def release(self) -> None:
        """End it if it lives and let its ports go; safe to call any number of times."""
        try:
            if self.alive():
                self.kill()
        finally:
            for reservation in (self._amqp, self._dist, *self._plugins.values()):
                reservation.release()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise BrokerError(f"{self.name} does not run; start it first")
        return self._process

    def _last_boot(self) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._booted_at)
            return log.read().decode("utf-8", errors="replace")

    def _reason(self) -> str:
        return boot_failure.reason(self._last_boot())


def _children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _all(processes: Sequence[psutil.Process], states: Sequence[str]) -> bool:
    """Wait until every process is seen in one of some states, or gone; returns whether it was."""

    @retry(
        stop=stop_after_delay(SIGNAL_TIMEOUT_S),
        wait=wait_fixed(_POLL_S),
        retry=retry_if_result(lambda reached: not reached),
        retry_error_callback=lambda _state: False,
    )
    def reached() -> bool:
        return all(_state(process) in states for process in processes)

    return reached()


def _state(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)
