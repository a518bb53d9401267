"""The run directory: reports/<time>-<scenario>/, and what lies in it."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import InfrastructureError, UsageError

LATEST = "latest"
SCENARIO_FILE = "scenario.yaml"
RESOLVED_FILE = "resolved.yaml"
META_FILE = "run.json"
VERDICT_FILE = "verdict.json"
HISTORY_FILE = "history.parquet"


def slug(text: str) -> str:
    """Make a name that is safe as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "scenario"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's folder."""

    path: Path

    @classmethod
    def create(cls, reports: Path, scenario: str, now: datetime) -> RunDirectory:
        """Make a new folder. Raises InfrastructureError where that cannot be written."""
        name = f"{now:%Y%m%d-%H%M%S}-{slug(scenario)}"
        try:
            reports.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = reports / (name if number == 1 else f"{name}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise InfrastructureError(
                f"the run directory cannot be made in {reports}: {error.strerror}; choose another with --reports"
            ) from error
        raise InfrastructureError(f"{reports} holds a thousand runs of this very second")

    @classmethod
    def find(cls, text: str, reports: Path) -> RunDirectory:
        """Find a run by its path or by its name in the reports folder; `latest` is the newest. Raises UsageError."""
        for path in (Path(text), reports / text):
            if (path / META_FILE).is_file():
                return cls(path.resolve())
        raise UsageError(f"{text!r} is not a run directory, neither here nor in {reports}")

    def variant(self, name: str) -> Path:
        """Return the folder of a variant."""
        return self.path / "variants" / slug(name)

    def remove(self) -> None:
        """Remove the folder and what is in it, as far as that can be done."""
        shutil.rmtree(self.path, ignore_errors=True)

    def point_latest(self) -> None:
        """Let `latest` point to this run, atomically; a plain file of that name is left alone. Raises OSError."""
        link = self.path.parent / LATEST
        if link.exists() and not link.is_symlink():
            return
        # A name that nobody can have taken beforehand: making a link fails where something is there already.
        temporary = self.path.parent / f".latest-{secrets.token_hex(8)}"
        temporary.symlink_to(self.path.name)
        temporary.replace(link)
