"""A broker node in a container: what can be done to it through the engine, whoever started it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import cast

from docker.errors import APIError, NotFound
from docker.models.containers import Container
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from harness.broker import erl_call
from harness.broker.boot_failure import reason
from harness.broker.docker_engine import engine_errors
from harness.broker.protocol import BrokerVersions, ControlResult, Endpoint, StopReport
from harness.broker.ready import server_versions

END_TIMEOUT_S = 30
"""How long the engine may take to say that a container has ended."""


FREEZES_TRIED = 10


def _not_frozen(error: BaseException) -> bool:
    """Whether runc gave up on a freeze, and undid it. Source: runc's freezer of cgroup v1, pull request 2774."""
    return isinstance(error, APIError) and "unable to freeze" in str(error.explanation)


@retry(
    retry=retry_if_exception(_not_frozen), stop=stop_after_attempt(FREEZES_TRIED), wait=wait_fixed(0.1), reraise=True
)
def _freeze(container: Container) -> None:
    container.pause()


class DockerNode:
    """One container with a broker as its main process."""

    def __init__(self, container: Container, name: str) -> None:
        """Wrap a container; `name` is for people."""
        self._container = container
        self.name = name

    def start(self) -> None:
        """Start it again with its data."""
        with engine_errors(f"starting {self.name}"):
            self._container.start()

    def stop(self, timeout_s: float) -> StopReport:
        """Stop it in order; the exit code tells whether it was: 137 is a SIGKILL after the grace."""
        with engine_errors(f"stopping {self.name}"):
            self.resume()
            self._container.stop(timeout=math.ceil(timeout_s))
            code = int(self._container.wait(timeout=END_TIMEOUT_S)["StatusCode"])
        detail = f"it took SIGKILL after {timeout_s:g} s" if code == 137 else ""
        return StopReport(code == 0, code, detail)

    def kill(self) -> None:
        """SIGKILL; returns when it is seen to be dead."""
        with engine_errors(f"killing {self.name}"):
            self._container.kill(signal="SIGKILL")
            self._container.wait(timeout=END_TIMEOUT_S)

    def pause(self) -> None:
        """Freeze every process in it. With cgroup v1 that can fail while one of them starts another, so it is tried several times."""
        with engine_errors(f"pausing {self.name}"):
            _freeze(self._container)

    def resume(self) -> None:
        """Thaw it; no error when it is not frozen."""
        with engine_errors(f"resuming {self.name}"):
            if self.state() == "paused":
                self._container.unpause()

    def revive(self) -> None:
        """Have it run and thawed, whatever was done to it; one that was removed stays so."""
        with engine_errors(f"starting {self.name} again"), suppress(NotFound):
            self._container.reload()
            match self._container.status:
                case "paused":
                    self._container.unpause()
                case "running":
                    return
                case _:
                    self._container.start()

    def state(self) -> str:
        """Return the engine's word for its state: running, paused, exited, ..."""
        with engine_errors(f"looking at {self.name}"):
            self._container.reload()
            return str(self._container.status)

    def exit_sentence(self) -> str | None:
        """Say why it can never answer: it has ended. None while it runs."""
        if self.state() in ("running", "paused", "created", "restarting"):
            return None
        state = self._container.attrs["State"]
        with engine_errors(f"reading the log of {self.name}"):
            began = datetime.fromisoformat(state["StartedAt"][:19] + "+00:00")
            log = bytes(self._container.logs(since=began.timestamp())).decode(errors="replace")
        return f"the container {self.name} ended with exit code {state.get('ExitCode')} while it was starting: {reason(log)}"

    def execute(self, command: list[str]) -> ControlResult:
        """Run a command in it."""
        with engine_errors(f"running {command[0]} in {self.name}"):
            code, output = self._container.exec_run(command, demux=True)
        out, err = cast("tuple[bytes | None, bytes | None]", output)
        return ControlResult(code or 0, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))

    def control(self, *arguments: str, timeout_s: float) -> ControlResult:
        """Run rabbitmqctl in it (`eval` through erl_call where that works); the engine's own bound on a call applies, and `timeout_s` inside."""
        match arguments:
            case ("eval", expression):
                return self.execute(erl_call.in_container(expression, timeout_s))
        return self.execute(["rabbitmqctl", "-q", "-t", str(math.ceil(timeout_s)), *arguments])

    def versions(self, endpoint: Endpoint) -> BrokerVersions:
        """Return what the node says in its handshake, and its image with its digest (its id, if it came from no registry)."""
        with engine_errors(f"looking at the image of {self.name}"):
            image = self._container.image
            digests = [*(image.attrs.get("RepoDigests") or ()), image.id] if image is not None else [""]
        return replace(
            server_versions(endpoint),
            image=str(self._container.attrs["Config"]["Image"]),
            image_digest=str(digests[0]),
        )

    def log(self) -> str:
        """Return what it has said so far."""
        with engine_errors(f"reading the log of {self.name}"):
            return bytes(self._container.logs()).decode(errors="replace")
