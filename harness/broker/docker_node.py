"""A broker node in a container: what can be done to it through the engine, whoever started it."""

from __future__ import annotations

import math
from typing import cast

from docker.models.containers import Container

from harness.broker.docker_engine import engine_errors
from harness.broker.protocol import ControlResult, StopReport


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
            code = int(self._container.wait()["StatusCode"])
        detail = f"it took SIGKILL after {timeout_s:g} s" if code == 137 else ""
        return StopReport(code == 0, code, detail)

    def kill(self) -> None:
        """SIGKILL; returns when it is seen to be dead."""
        with engine_errors(f"killing {self.name}"):
            self._container.kill(signal="SIGKILL")
            self._container.wait()

    def pause(self) -> None:
        """Freeze every process in it."""
        with engine_errors(f"pausing {self.name}"):
            self._container.pause()

    def resume(self) -> None:
        """Thaw it; no error when it is not frozen."""
        with engine_errors(f"resuming {self.name}"):
            if self.state() == "paused":
                self._container.unpause()

    def state(self) -> str:
        """Return the engine's word for its state: running, paused, exited, ..."""
        with engine_errors(f"looking at {self.name}"):
            self._container.reload()
            return str(self._container.status)

    def exit_sentence(self) -> str | None:
        """Say why it can never answer: it has ended. None while it runs."""
        if self.state() in ("running", "paused", "created", "restarting"):
            return None
        code = self._container.attrs["State"].get("ExitCode")
        lines = [line.strip() for line in self.log().splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line.lower() for word in ("error", "failed", "refused"))]
        said = (telling or lines or ["it said nothing"])[0][:300]
        return f"the container {self.name} ended with exit code {code} while it was starting: {said}"

    def execute(self, command: list[str]) -> ControlResult:
        """Run a command in it."""
        with engine_errors(f"running {command[0]} in {self.name}"):
            code, output = self._container.exec_run(command, demux=True)
        out, err = cast("tuple[bytes | None, bytes | None]", output)
        return ControlResult(code or 0, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))

    def log(self) -> str:
        """Return what it has said so far."""
        with engine_errors(f"reading the log of {self.name}"):
            return bytes(self._container.logs()).decode(errors="replace")
