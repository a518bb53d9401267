"""Running one or several scenarios: here, one after the other, or as processes of their own with `-j`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger
from harness.checks.verdict import Outcome, RunVerdict, worst
from harness.checks.verdict_json import from_json, to_json
from harness.cli.interruptible import interruptible
from harness.cli.options import BrokerOption, in_ci, say
from harness.engine.run import RunResult
from harness.engine.run import run as run_one
from harness.engine.rundir import HISTORY_FILE
from harness.errors import ChaosError, ExitCode
from harness.interrupts import shielded
from harness.report.terminal import LiveProgress, print_verdict
from harness.report.write import write_all
from harness.scenario.load import Loaded

if TYPE_CHECKING:
    from rich.console import Console

SEED_BITS = 31


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    option: BrokerOption
    broker: str | None
    image: str | None
    reports: Path
    seed: int | None
    controls: bool
    quiet: bool
    json_output: bool

    def arguments(self) -> list[str]:
        """Write the options that a child process or a replay needs."""
        given = ["--broker", self.broker] if self.broker is not None else []
        given += ["--image", self.image] if self.image is not None else []
        return given


def run_all(loaded: Sequence[Loaded], settings: Settings, *, jobs: int, console: Console) -> ExitCode:
    """Run everything, print what is to be printed, return the exit code."""
    for line in sweep_everything():
        say(f"left over from a run that was killed, removed: {line}")
    if jobs > 1 and len(loaded) > 1:
        outcomes = _in_parallel(loaded, settings, jobs, console)
    else:
        outcomes = _in_turn(loaded, settings, console)
    return worst(outcomes).exit_code


def sweep_everything() -> tuple[str, ...]:
    """Remove what dead harnesses left: processes and folders, and containers where there is an engine."""
    from harness.broker.sweeping import sweep_containers

    return (*ledger.sweep(), *sweep_containers()[0])


def _in_turn(loaded: Sequence[Loaded], settings: Settings, console: Console) -> list[Outcome]:
    verdicts: list[RunVerdict] = []
    problems: list[str] = []
    with interruptible("interrupted: healing, stopping, writing the report; once more leaves at once"):
        for one in loaded:
            result = _run_one(one, settings, console)
            verdicts.append(result.verdict)
            with shielded():
                problems += _report(result, one, settings, console)
            if result.interrupted:
                break
    if len(verdicts) > 1:
        _print_summary(verdicts, console)
    # A report that CI waits for and that is not there is no success.
    return [verdict.outcome for verdict in verdicts] + [Outcome.INFRASTRUCTURE] * bool(problems)


def _run_one(loaded: Loaded, settings: Settings, console: Console) -> RunResult:
    seed = settings.seed if settings.seed is not None else (loaded.scenario.seed or _draw())
    with closing(LiveProgress(console, quiet=settings.quiet)) as live:
        return run_one(
            loaded,
            reports=settings.reports,
            seed=seed,
            make_broker=lambda wanted, book: settings.option.make(loaded.scenario.broker, loaded.path, wanted, book),
            image=settings.image or "",
            replay_options=_without_password(settings.arguments()),
            with_controls=settings.controls,
            listeners=[live],
        )


def _report(result: RunResult, loaded: Loaded, settings: Settings, console: Console) -> tuple[str, ...]:
    """Write and print all that is told of a run; returns what could not be written."""
    problems = write_reports(result, loaded)
    print_verdict(result.verdict, console, directory=result.directory.path)
    for problem in problems:
        say(f"a report could not be written: {problem}")
    if settings.json_output:
        sys.stdout.write(json.dumps(json.loads(to_json(result.verdict))) + "\n")
        sys.stdout.flush()
    if in_ci():
        from harness.report.annotations import annotation_lines

        for line in annotation_lines(result.verdict, line_of(loaded)):
            say(line)
    return problems


def run_quietly(loaded: Loaded, option: BrokerOption, *, reports: Path, seed: int | None) -> tuple[RunVerdict, Path]:
    """Run one scenario without a word, for pytest; returns the verdict and the run's directory."""
    result = run_one(
        loaded,
        reports=reports,
        seed=seed if seed is not None else (loaded.scenario.seed or _draw()),
        make_broker=lambda wanted, book: option.make(loaded.scenario.broker, loaded.path, wanted, book),
    )
    write_reports(result, loaded)
    if result.interrupted:
        raise KeyboardInterrupt
    return result.verdict, result.directory.path


def write_reports(result: RunResult, loaded: Loaded) -> tuple[str, ...]:
    """Write every artefact of a run's directory; returns what could not be written."""
    from harness.history.parquet import write as write_parquet
    from harness.scenario.resolve import resolve, to_yaml

    problems: list[str] = []
    logs: dict[str, dict[str, str]] = {}
    for name in result.histories:
        found = sorted((result.directory.variant(name) / "broker").glob("*.log"))
        logs[name] = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in found}
    try:
        write_all(
            result.verdict,
            result.directory.path,
            histories=result.histories,
            resolved_scenario=to_yaml(resolve(loaded.scenario, seed=result.verdict.seed)),
            broker_logs=logs,
        )
    except ChaosError as error:
        problems.append(str(error))
    # After the reports: it may be large, and where room is short they matter more.
    for name, history in result.histories.items():
        try:
            write_parquet(history, result.directory.variant(name) / HISTORY_FILE)
        except ChaosError as error:
            problems.append(str(error))
    return tuple(problems)


def line_of(loaded: Loaded) -> Callable[[str, str], int | None]:
    """Return a function from (variant, expectation) to its line in the scenario file."""
    variants = {variant.name: variant for variant in loaded.variants()}

    def find(variant: str, path: str) -> int | None:
        found = variants.get(variant)
        return loaded.line_of(found.expectation_path(path)) if found is not None else None

    return find


def _without_password(arguments: list[str]) -> list[str]:
    import re

    return [re.sub(r"(amqps?://[^:/@]*):[^@]*@", r"\1:***@", argument) for argument in arguments]


def _draw() -> int:
    return int.from_bytes(os.urandom(4)) >> (32 - SEED_BITS)


def _in_parallel(loaded: Sequence[Loaded], settings: Settings, jobs: int, console: Console) -> list[Outcome]:
    """Run each scenario as a process of its own, so that interrupts and crashes stay apart."""
    processes: list[subprocess.Popen[str]] = []

    def one(scenario: Loaded) -> tuple[RunVerdict | None, int]:
        command = [
            sys.executable,
            "-m",
            "harness",
            "run",
            str(scenario.path),
            "--json",
            "--reports",
            str(settings.reports),
        ]
        command += settings.arguments()
        command += [] if settings.controls else ["--no-controls"]
        command += ["--quiet"] if settings.quiet else []
        command += ["--seed", str(settings.seed)] if settings.seed is not None else []
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        processes.append(process)
        output, errors = process.communicate()
        say(errors.removesuffix("\n"))
        if settings.json_output:
            sys.stdout.write(output)
        lines = output.splitlines()
        return (from_json(lines[-1]) if lines else None), process.returncode

    with (
        interruptible(
            "interrupted: the runs are healing, stopping and writing their reports; once more leaves at once"
        ),
        ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        try:
            found = list(pool.map(one, loaded))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
            raise
    missing = [str(scenario.path) for scenario, (verdict, _) in zip(loaded, found, strict=True) if verdict is None]
    if missing:
        raise ChaosError(f"no verdict came back for {', '.join(missing)}; see the messages above")
    verdicts = [verdict for verdict, _ in found if verdict is not None]
    _print_summary(verdicts, console)
    failed = any(code == ExitCode.INFRASTRUCTURE for _, code in found)
    return [verdict.outcome for verdict in verdicts] + [Outcome.INFRASTRUCTURE] * failed


def _print_summary(verdicts: Sequence[RunVerdict], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title=f"{len(verdicts)} scenarios", title_justify="left")
    for heading in ("scenario", "verdict", "variants", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for verdict in verdicts:
        style = {Outcome.AS_EXPECTED: "green", Outcome.INCONCLUSIVE: "yellow"}.get(verdict.outcome, "red")
        table.add_row(
            Text(verdict.scenario),
            Text(verdict.outcome.value, style=style),
            str(len(verdict.variants)),
            f"{verdict.duration_s:.1f}",
        )
    console.print(table)
