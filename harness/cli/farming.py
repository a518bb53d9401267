"""Runs on the workers of a Dask engine, with everything that they leave brought here."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock

from harness.cli.options import TREND_FOLDER, in_ci
from harness.cli.processes import Begun, Ended, Job, ended, no_verdict
from harness.cli.settings import Settings
from harness.engine.rundir import META_FILE, RunDirectory
from harness.errors import ChaosError, InfrastructureError
from harness.ledger import Ledger
from harness.report.index import write_index
from harness.scale.actor_handle import ActorHandle, DaskWorker
from harness.scale.connect import connect
from harness.scale.farm import Farm
from harness.scale.packing import unpack
from harness.scale.remote_run import Done, Order, RemoteRun
from harness.scale.run_supervisor import REPORTS
from harness.trend import store


@contextmanager
def farmed(scheduler: str, settings: Settings) -> Iterator[FarmCrew]:
    """Connect to a scheduler and give the crew of its workers. Raises UsageError and InfrastructureError."""
    with connect(scheduler) as engine:
        ledger = Ledger(f"farm-{secrets.token_hex(4)}")
        try:
            settings.reports.mkdir(parents=True, exist_ok=True)
            arrivals = ledger.make_directory(settings.reports, "arriving", hidden=True)
        except OSError as error:
            ledger.close()
            raise InfrastructureError(
                f"{settings.reports} cannot be written: {error.strerror}; choose another with --reports"
            ) from error
        try:
            workers = [DaskWorker(name, address) for name, address in engine.workers.items()]
            farm = Farm(workers, lambda worker: ActorHandle(engine.client, worker, RemoteRun))
            yield FarmCrew(settings, farm, arrivals)
        finally:
            shutil.rmtree(arrivals, ignore_errors=True)
            ledger.close()


@dataclass(frozen=True, slots=True)
class FarmCrew:
    """Runs each job on a Dask worker; see harness.cli.processes.Crew."""

    settings: Settings
    farm: Farm
    arrivals: Path
    """A folder of this command's own, on the disk of the reports."""
    _arriving: Lock = field(default_factory=Lock)
    """Held to write what runs share: `latest` and the index."""

    @property
    def room(self) -> int | None:
        """How many workers there are, one run on each."""
        return self.farm.living

    def run(self, job: Job) -> Ended | None:
        """Run a job on a Dask worker, and bring its run directory and its rows of the trend here."""
        begun, place = Begun.now(), Path(tempfile.mkdtemp(dir=self.arrivals))
        archive = place / "archive"
        environment = self.settings.environment() | ({"GITHUB_ACTIONS": "true"} if in_ci() else {})
        called = f"--called={job.loaded.path}"  # reports and the replay name the file as it was named here
        order = Order(job.loaded.text, (*self.settings.run_arguments(job.seed), called), environment)
        try:
            done = self.farm.run(order, archive)
        except InfrastructureError as error:
            verdict = no_verdict(job, str(error), settings=self.settings, begun=begun, interrupted=False)
            return Ended(job, verdict, "", f"{error}\n", failed=True)
        return None if done is None else self._ended(job, done, begun, place)

    def interrupt(self) -> None:
        """Let no further run begin, and interrupt those that are under way."""
        self.farm.interrupt()

    def _ended(self, job: Job, done: Done, begun: Begun, place: Path) -> Ended:
        errors, problem = done.errors, done.problem
        if problem is None:
            try:
                unpack(place / "archive", place / "reports")
                with self._arriving:
                    errors = self._arrive(place / "reports", job, errors)
            except (ChaosError, OSError, ValueError, KeyError) as error:
                problem = str(error)
        over = ended(
            job,
            done.code,
            done.output,
            errors,
            settings=self.settings,
            begun=begun,
            interrupted=self.farm.ending,
        )
        shutil.rmtree(place, ignore_errors=True)
        if problem is None:
            return over
        return replace(over, errors=f"{errors}what the run left is not here: {problem}\n", failed=True)

    def _arrive(self, folder: Path, job: Job, errors: str) -> str:
        """Put what was unpacked where it belongs; returns what the run printed, with the name of its folder here."""
        reports = self.settings.reports
        store.append(reports / TREND_FOLDER, store.read(folder / TREND_FOLDER).rows)
        for meta in folder.glob(f"*/{META_FILE}"):
            started_at = datetime.fromisoformat(json.loads(meta.read_text(encoding="utf-8"))["started_at"])
            directory = RunDirectory.create(reports, job.loaded.scenario.name, started_at.astimezone())
            meta.parent.rename(directory.path)
            directory.point_latest()
            errors = errors.replace(f"{REPORTS}/{meta.parent.name}", str(directory.path))
        write_index(reports)
        return errors
