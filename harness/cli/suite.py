"""Running one or several scenarios: here, one after the other, or as processes of their own with `-j`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ledger
from harness.checks.verdict import Outcome, RunVerdict, worst
from harness.checks.verdict_json import from_json, to_json
from harness.cli.options import BrokerOption, in_ci, say
from harness.engine.run import RunResult
from harness.engine.run import run as run_one
from harness.errors import ChaosError, ExitCode
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
        verdicts = _in_parallel(loaded, settings, jobs)
    else:
        verdicts = _in_turn(loaded, settings, console)
    if len(verdicts) > 1:
        _print_summary(verdicts, console)
    return worst([verdict.outcome for verdict in verdicts]).exit_code


def sweep_everything() -> tuple[str, ...]:
    """Remove what dead harnesses left: processes and folders, and containers where there is an engine."""
    from harness.broker.sweeping import sweep_containers

    return (*ledger.sweep(), *sweep_containers())


def _in_turn(loaded: Sequence[Loaded], settings: Settings, console: Console) -> list[RunVerdict]:
    verdicts = []
    for one in loaded:
        result = _run_one(one, settings, console)
        verdicts.append(result.verdict)
        if result.interrupted:
            break
    return verdicts


def _run_one(loaded: Loaded, settings: Settings, console: Console) -> RunResult:
    seed = settings.seed if settings.seed is not None else (loaded.scenario.seed or _draw())
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        live = LiveProgress(console, quiet=settings.quiet)
        stack.callback(live.close)
        result = run_one(
            loaded,
            reports=settings.reports,
            seed=seed,
            make_broker=lambda wanted, book: settings.option.make(loaded.scenario.broker, loaded.path, wanted, book),
            image=settings.image or "",
            replay_options=_without_password(settings.arguments()),
            with_controls=settings.controls,
            listeners=[live],
        )
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
            sys.stderr.write(f"{line}\n")
    return result


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
    for name, history in result.histories.items():
        folder = result.directory.variant(name)
        try:
            write_parquet(history, folder / "history.parquet")
            found = sorted((folder / "broker").glob("*.log"))
            logs[name] = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in found}
        except (OSError, ChaosError) as error:
            problems.append(str(error))
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


class _interruptible:  # noqa: N801 - used like a function in a with statement
    """First Ctrl-C (or SIGTERM): KeyboardInterrupt, the run ends in order. The second leaves at once."""

    def __enter__(self) -> None:
        self._count = 0
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._count += 1
        if self._count == 1:
            say("interrupted: healing, stopping, writing the report; once more leaves at once")
            raise KeyboardInterrupt
        say("left at once; `chaos clean` (or the next start) removes the broker and the processes of this run")
        os._exit(int(ExitCode.INTERRUPTED))


def _in_parallel(loaded: Sequence[Loaded], settings: Settings, jobs: int) -> list[RunVerdict]:
    """Run each scenario as a process of its own, so that interrupts and crashes stay apart."""
    processes: list[subprocess.Popen[str]] = []

    def one(scenario: Loaded) -> RunVerdict | None:
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
        sys.stderr.write(errors)
        if settings.json_output:
            sys.stdout.write(output)
        lines = output.splitlines()
        return from_json(lines[-1]) if lines else None

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            found = list(pool.map(one, loaded))
        except KeyboardInterrupt:
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
            raise
    missing = [str(scenario.path) for scenario, verdict in zip(loaded, found, strict=True) if verdict is None]
    if missing:
        raise ChaosError(f"no verdict came back for {', '.join(missing)}; see the messages above")
    return [verdict for verdict in found if verdict is not None]


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
