"""The run directory: reports/<time>-<scenario>/, and what lies in it."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import HistoryError, InfrastructureError, UsageError
from harness.files import is_text, parse_json, read_text, reason

LATEST = "latest"
SCENARIO_FILE = "scenario.yaml"
RESOLVED_FILE = "resolved.yaml"
META_FILE = "run.json"
VARIANTS_FOLDER = "variants"
VERDICT_FILE = "verdict.json"
HISTORY_FILE = "history.parquet"


def slug(text: str) -> str:
    """Make a name that is safe as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "scenario"


@dataclass(frozen=True, slots=True)
class RunMeta:
    """What is known of a run as a whole, beside its verdict."""

    file: str
    """The scenario's, as it was named."""
    seed: int
    replay: str
    """The command that runs it again."""
    started_at: str
    """In the form of ISO 8601."""
    versions: dict[str, str]
    controls: bool
    """Whether it was to have the scenario's controls."""


def _meta(data: Any) -> RunMeta:
    """Check what a run's meta file holds. Raises ValueError."""
    if not isinstance(data, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - what was read, as if it were not JSON
    texts, versions = {name: data.get(name) for name in ("file", "replay", "started_at")}, data.get("versions")
    wrong = [name for name, value in texts.items() if not is_text(value)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a text")
    if not isinstance(versions, dict) or not all(is_text(each) for each in (*versions, *versions.values())):
        raise ValueError("'versions' are not texts")
    if type(data.get("seed")) is not int or type(data.get("controls", True)) is not bool:
        raise ValueError("'seed' or 'controls' is of another type")
    if datetime.fromisoformat(data["started_at"]).tzinfo is None:
        raise ValueError("'started_at' has no time zone")
    return RunMeta(
        file=data["file"],
        seed=data["seed"],
        replay=data["replay"],
        started_at=data["started_at"],
        versions=versions,
        controls=data.get("controls", True),
    )


def check_folder(reports: Path) -> None:
    """Check that run directories can be made in a folder, which need not be there yet, and make nothing.

    Raises InfrastructureError. Only making one shows all that may be wrong, such as a full disk.
    """
    for folder in (reports, *reports.parents):
        try:
            is_folder = stat.S_ISDIR(folder.stat().st_mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _not_made(reports, error.strerror) from error
        if not is_folder:
            raise _not_made(reports, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _not_made(reports, os.strerror(errno.EACCES))
        return


def _not_made(reports: Path, why: str | None) -> InfrastructureError:
    return InfrastructureError(f"the run directory cannot be made in {reports}: {why}; choose another with --reports")


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
            raise _not_made(reports, error.strerror) from error
        raise InfrastructureError(f"{reports} holds a thousand runs of this very second")

    @classmethod
    def find(cls, text: str, reports: Path) -> RunDirectory:
        """Find a run by its path or by its name in the reports folder; `latest` is the newest. Raises UsageError.

        What is left of a run is found as well: reading it says what is missing.
        """
        for path in (Path(text), reports / text):
            try:
                if path.is_dir() and any(os.path.lexists(path / name) for name in (META_FILE, VARIANTS_FOLDER)):
                    return cls(path.resolve())
            except (OSError, ValueError):  # a name that no file can have
                continue
        raise UsageError(f"{text!r} is not a run directory, neither here nor in {reports}")

    def variant(self, name: str) -> Path:
        """Return the folder of a variant."""
        return self.path / VARIANTS_FOLDER / slug(name)

    def meta(self) -> RunMeta:
        """Read what is known of the run as a whole. Raises HistoryError."""
        path = self.path / META_FILE
        try:
            return _meta(parse_json(read_text(path)))
        except (OSError, ValueError) as error:
            raise HistoryError(f"{path} cannot be read: {reason(error)}") from error

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
