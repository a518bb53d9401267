"""The one exception hierarchy of the harness, and the exit codes of `chaos`.

Every message says what happened, where, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from harness.plain import plain


class ExitCode(IntEnum):
    """What `chaos` exits with. A violation outranks infrastructure, which outranks inconclusive."""

    AS_EXPECTED = 0
    VIOLATED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INCONCLUSIVE = 4
    INTERRUPTED = 130


class ChaosError(Exception):
    """Base of every error the harness raises on purpose."""

    exit_code: ExitCode = ExitCode.INFRASTRUCTURE


class Severity(StrEnum):
    """How much weight there is to what is said of a scenario file."""

    MISTAKE = "mistake"
    """The scenario is not run."""
    WARNING = "warning"
    """It runs, and may end otherwise than its writer thinks."""
    NOTE = "note"
    """Worth knowing, and right as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a scenario file, or a warning or note about it, with its place.

    `line` and `column` count from 1; 0 means that the place is the file as a whole.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    severity: Severity = Severity.MISTAKE

    def __str__(self) -> str:
        """Format as `file:line:column: path: message`, which editors and CI annotations understand; what is no mistake says what it is.

        It is one line, and harmless: names and texts of the file may hold anything.
        """
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        kind = "" if self.severity is Severity.MISTAKE else f": {self.severity}"
        path = f": {self.path}" if self.path else ""
        return plain(f"{where}{kind}{path}: {self.message}")


class ScenarioError(ChaosError):
    """One or more scenario files are wrong; holds every mistake found, in the order of the files."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class UsageError(ChaosError):
    """A command was called with something it cannot take."""

    exit_code = ExitCode.USAGE


class InfrastructureError(ChaosError):
    """The machine, the engine or the broker failed: no statement about the queue is possible."""


class BrokerError(InfrastructureError):
    """A broker could not be started, stopped, reached or spoken to."""


class BackendUnavailableError(BrokerError):
    """A backend cannot be used on this machine; the message says what to install or start."""


class HistoryError(InfrastructureError):
    """A run directory or an event log cannot be read or written."""
