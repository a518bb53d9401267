"""Running one or several scenarios: one after the other from here, or in several processes at once with `-j`.

On a Dask engine, the traffic of the first is spread over its machines, and the second are farmed out to them.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness import leftovers
from harness.cli.brokers import broker_maker, pooled
from harness.cli.interruptible import interruptible
from harness.cli.options import TREND_FOLDER, error_console, in_ci, result_console, say, say_as_it_is
from harness.cli.settings import Settings
from harness.cli.warm_up import WarmUp
from harness.engine.judging import RunResult
from harness.engine.run import MakeHosts
from harness.engine.run import run as run_one
from harness.engine.rundir import HISTORY_FILE
from harness.errors import ExitCode, HistoryError
from harness.files import read_bytes, reason
from harness.interrupts import shielded
from harness.report.markdown import append_to_job_summary, markdown
from harness.report.suite import print_suite, suite_markdown
from harness.report.terminal import LiveProgress, print_verdict
from harness.scenario.load import Loaded
from harness.unforeseen import described
from harness.verdict.data import Outcome, RunVerdict, worst
from harness.verdict.repetitions import by_scenario

if TYPE_CHECKING:
    from rich.console import Console

    from harness.broker.pool import BrokerPool
    from harness.cli.processes import Ended, Job


def run_all(loaded: Sequence[Loaded], settings: Settings, *, jobs: int, no_color: bool) -> ExitCode:
    """Run everything, print what is to be printed, return the exit code."""
    live = error_console(no_color=no_color)
    results = result_console(json_output=settings.json_output, no_color=no_color)
    if jobs > 1 and len(loaded) > 1:
        say_swept(sweep_everything())
        verdicts, ending = _in_parallel(loaded, settings, jobs)
    else:
        say_swept(sweep_runs())
        verdicts, ending = _in_turn(loaded, settings, live, results)
    if len(verdicts) > 1:
        print_suite(by_scenario(verdicts), results)
    _add_to_job_summary(verdicts)
    return worst([*(verdict.outcome for verdict in verdicts), *ending]).exit_code


def _add_to_job_summary(verdicts: Sequence[RunVerdict]) -> None:
    def render(limit: int) -> str:
        if len(verdicts) == 1:
            return markdown(verdicts[0], limit=limit)
        return suite_markdown(by_scenario(verdicts), limit=limit) if verdicts else ""

    try:
        append_to_job_summary(render, os.environ)
    except OSError as error:
        say(f"the job's summary could not be written: {error.strerror}")


def sweep_everything() -> tuple[str, ...]:
    """Remove what dead harnesses left: processes and folders, and containers where there is an engine; returns what to say of it."""
    return (*sweep_runs(), *_sweep_containers())


def sweep_runs() -> tuple[str, ...]:
    """Remove the processes and folders that dead harnesses left; returns what to say of it."""
    removed, remarks = leftovers.sweep()
    return (*map(_left_over, removed), *remarks)


def _sweep_containers() -> tuple[str, ...]:
    from harness.broker.sweeping import sweep_containers

    return tuple(map(_left_over, sweep_containers()[0]))


def _left_over(what: str) -> str:
    return f"left over from a run that was killed, removed: {what}"


def say_swept(lines: Sequence[str]) -> None:
    """Say what a sweep did."""
    for line in lines:
        say(line)


def _sweep_beside_boot() -> None:
    """Sweep where it takes its time, for an engine must be asked: beside the first boot."""
    say_swept(_sweep_containers())


def _in_turn(
    loaded: Sequence[Loaded], settings: Settings, live: Console, results: Console
) -> tuple[list[RunVerdict], list[Outcome]]:
    """Run one after the other; returns the verdicts, and what else the exit code must know of."""
    verdicts: list[RunVerdict] = []
    problems: list[str] = []
    with (
        _machines(settings.scheduler) as make_hosts,
        interruptible(
            "interrupted: healing faults, stopping processes, writing the report; press Ctrl-C again to leave at once"
        ),
        closing(WarmUp(_sweep_beside_boot)) as ahead,
        pooled() as pool,
    ):
        for one in loaded:
            result = _run_one(one, settings, live, make_hosts, ahead, pool)
            verdicts.append(result.verdict)
            with shielded():
                problems += _report(result, one, settings, results)
            if result.interrupted:
                break
    # A report that CI waits for and that is not there is no success.
    return verdicts, [Outcome.INFRASTRUCTURE] * bool(problems)


@contextmanager
def _machines(scheduler: str | None) -> Iterator[MakeHosts | None]:
    """Give what spreads a run's publishers and workers over the machines of a Dask engine; None where none is named."""
    if scheduler is None:
        yield None
        return
    from harness.scale.connect import connect

    with connect(scheduler) as engine:
        from harness.scale.spread import Spread

        yield Spread(engine).hosts


def _run_one(
    loaded: Loaded,
    settings: Settings,
    console: Console,
    make_hosts: MakeHosts | None,
    ahead: WarmUp,
    pool: BrokerPool,
) -> RunResult:
    with closing(LiveProgress(console, quiet=settings.quiet)) as live:
        return run_one(
            loaded,
            reports=settings.reports,
            seed=settings.seed_of(loaded),
            make_broker=broker_maker(
                loaded, settings.option, pool, fresh=settings.fresh, tell=_quiet if settings.quiet else say
            ),
            make_hosts=make_hosts,
            image=settings.image or "",
            replay_options=[
                *settings.replay_options(),
                *(["--scheduler", settings.scheduler] if settings.scheduler else []),
            ],
            with_controls=settings.controls,
            listeners=[live, ahead],
        )


def _quiet(_line: str) -> None:
    """Say nothing of the progress."""


def _report(result: RunResult, loaded: Loaded, settings: Settings, console: Console) -> tuple[str, ...]:
    """Write and print all that is told of a run; returns what could not be written."""
    from harness.report.broker_log import complaints_by_variant

    logs = broker_logs(result)
    problems = (*write_reports(result, loaded, logs), *add_to_trend(result, settings.reports, settings.night))
    print_verdict(
        result.verdict,
        console,
        directory=result.directory.path,
        complaints=complaints_by_variant(result.verdict, result.histories, logs),
    )
    for problem in problems:
        say(f"a report could not be written: {problem}")
    if settings.json_output:
        _print_json(result.verdict)
    if in_ci():
        from harness.report.annotations import annotation_lines

        for line in annotation_lines(result.verdict, line_of(loaded)):
            say_as_it_is(line)
    return problems


def run_quietly(loaded: Loaded, settings: Settings) -> tuple[RunVerdict, Path]:
    """Run one scenario with quiet settings, for pytest; returns the verdict and the run's directory.

    Raises HistoryError where a report could not be written, unless the verdict is a failure already, which says more.
    """
    with closing(WarmUp()) as ahead, pooled() as pool:
        result = _run_one(loaded, settings, error_console(), None, ahead, pool)
    problems = (
        *write_reports(result, loaded, broker_logs(result)),
        *add_to_trend(result, settings.reports, settings.night),
    )
    _add_to_job_summary([result.verdict])
    if result.interrupted:
        raise KeyboardInterrupt
    if problems and result.verdict.outcome is Outcome.AS_EXPECTED:
        raise HistoryError("\n".join(f"a report could not be written: {problem}" for problem in problems))
    return result.verdict, result.directory.path


def broker_logs(result: RunResult) -> dict[str, dict[str, str]]:
    """Read the brokers' logs, by variant and node."""
    logs: dict[str, dict[str, str]] = {}
    for name in result.histories:
        found = sorted((result.directory.variant(name) / "broker").glob("*.log"))
        logs[name] = {path.stem: _broker_log(path) for path in found}
    return logs


def _broker_log(path: Path) -> str:
    try:
        return read_bytes(path).decode(errors="replace")
    except OSError as error:
        raise HistoryError(f"the broker's log {path} cannot be read: {reason(error)}") from error


def write_reports(result: RunResult, loaded: Loaded, logs: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Write every artefact of a run's directory; `logs` are the brokers'. Returns what could not be written."""
    from harness.history.parquet import write as write_parquet
    from harness.report.write import write_all
    from harness.scenario.resolve import resolve, to_yaml

    problems: list[str] = []
    find = line_of(loaded)
    try:
        write_all(
            result.verdict,
            result.directory.path,
            histories=result.histories,
            resolved_scenario=to_yaml(resolve(loaded.scenario, seed=result.verdict.seed)),
            broker_logs=logs,
            line_of=lambda _run, variant, path: find(variant, path),
            scenarios={variant.name: variant.scenario for variant in loaded.variants()},
        )
    except Exception as error:  # whatever it is, the verdict is shown, and a suite goes on
        problems.append(described(error, result.directory.path))
    # After the reports: it may be large, and where room is short they matter more.
    for name, history in result.histories.items():
        try:
            write_parquet(history, result.directory.variant(name) / HISTORY_FILE)
        except Exception as error:
            problems.append(described(error, result.directory.variant(name)))
    return tuple(problems)


def add_to_trend(result: RunResult, reports: Path, night: str | None) -> tuple[str, ...]:
    """Add a run's rows to the trend, unless it was interrupted: such a run says little. Returns what could not be written."""
    from harness.trend.rows import rows_of
    from harness.trend.store import append

    if result.interrupted:
        return ()
    run = result.verdict
    try:
        rows = rows_of(run, result.histories, run_id=uuid.uuid4().hex, night=night or run.started_at)
        append(reports / TREND_FOLDER, rows)
    except Exception as error:
        return (described(error, result.directory.path),)
    return ()


def line_of(loaded: Loaded) -> Callable[[str, str], int | None]:
    """Return a function from (variant, expectation) to its line in the scenario file."""
    variants = {variant.name: variant for variant in loaded.variants()}

    def find(variant: str, path: str) -> int | None:
        found = variants.get(variant)
        return loaded.line_of(found.expectation_path(path)) if found is not None else None

    return find


def show_ended(ended: Ended, settings: Settings) -> None:
    """Pass on what a run's process printed: always with progress, else only if it did not end as it should."""
    if not settings.quiet or ended.verdict.outcome is not Outcome.AS_EXPECTED or ended.failed:
        say_as_it_is(ended.errors.removesuffix("\n"))
    if settings.json_output:
        _print_json(ended.verdict)


def _print_json(verdict: RunVerdict) -> None:
    from harness.verdict.as_json import to_json

    sys.stdout.write(json.dumps(json.loads(to_json(verdict))) + "\n")
    sys.stdout.flush()


def _in_parallel(loaded: Sequence[Loaded], settings: Settings, jobs: int) -> tuple[list[RunVerdict], list[Outcome]]:
    """Run several at once, in processes of their own; returns the verdicts as `_in_turn` does."""
    from harness.cli.executor import executor_for
    from harness.cli.processes import Job, run_jobs

    waiting = iter(loaded)
    verdicts: dict[Path, RunVerdict] = {}
    ending: list[Outcome] = []

    def next_job() -> Job | None:
        one = next(waiting, None)
        return Job(one, settings.seed_of(one)) if one is not None else None

    def on_end(ended: Ended) -> None:
        verdicts[ended.job.loaded.path] = ended.verdict
        ending.extend([Outcome.INFRASTRUCTURE] * ended.failed)
        show_ended(ended, settings)

    with executor_for(settings, loaded) as executor:
        if not run_jobs(next_job, on_end, executor, jobs=min(jobs, executor.room or jobs)):
            ending.append(Outcome.INTERRUPTED)
    return [verdicts[one.path] for one in loaded if one.path in verdicts], ending
