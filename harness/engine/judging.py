"""From what a run left to its verdict: at its end, and again later."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.combine import combine
from harness.engine.outbox import tell
from harness.engine.rundir import RunDirectory
from harness.errors import HistoryError
from harness.events import BrokerStarted, InfrastructureFailed, Listener, Phase, PhaseChanged, VariantFinished
from harness.history.events_io import EVENTS_FILE
from harness.scenario.load import Loaded
from harness.scenario.variants import Variant
from harness.unforeseen import described
from harness.verdict.data import RunVerdict, VariantVerdict

if TYPE_CHECKING:
    from harness.history.history import History


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left: its verdict, and what the reports are written from."""

    verdict: RunVerdict
    directory: RunDirectory
    histories: dict[str, History]
    interrupted: bool


def judged(
    variant: Variant, folder: Path, told: Sequence[Listener], failures: Sequence[str]
) -> tuple[History, VariantVerdict]:
    """Read what a variant's run left, and judge it; `failures` are those that its events do not hold."""
    # A command imports these while its broker boots.
    from harness.history.history import History, load  # noqa: PLC0415

    try:
        tell(told, PhaseChanged(at_ns=time.monotonic_ns(), variant=variant.name, phase=Phase.CHECK))
        _still_there(folder)
        history = _with_failures(load(folder, variant.name), variant, failures)
        verdict = _judge(history, variant)
    except Exception as error:  # an error of the harness is a failure of the run, which has its report
        history = _with_failures(History((), ()), variant, [*failures, described(error, folder)])
        verdict = _judge(history, variant)
    finished = VariantFinished(
        at_ns=time.monotonic_ns(), variant=variant.name, verdict=verdict.outcome.value, headline=verdict.headline
    )
    # Events that find no room now are missed by nobody: the reports find none either, and say so.
    with suppress(HistoryError):
        tell(told, finished)
    return history, verdict


def _still_there(folder: Path) -> None:
    if not os.path.lexists(folder / EVENTS_FILE):
        raise HistoryError(f"{folder} is gone, or what was in it: somebody removed or moved it while the run went on")


def _judge(history: History, variant: Variant) -> VariantVerdict:
    from harness.checks.judge import judge  # noqa: PLC0415 - as above

    return judge(
        history,
        variant.scenario,
        name=variant.name,
        description=variant.description,
        settings=variant.settings,
        before=variant.before,
    )


def _with_failures(history: History, variant: Variant, failures: Sequence[str]) -> History:
    """Add events that say what failed."""
    now = time.monotonic_ns()
    failed = (InfrastructureFailed(at_ns=now, variant=variant.name, message=message) for message in failures)
    return replace(history, events=(*history.events, *failed))


def judge_again(directory: RunDirectory, loaded: Loaded) -> RunResult:
    """Judge a run directory's histories anew, with the scenario that it holds."""
    from harness.history.history import load  # noqa: PLC0415 - as above

    meta = directory.meta()
    verdicts: list[VariantVerdict] = []
    histories: dict[str, History] = {}
    versions: dict[str, str] = dict(meta.versions)
    variants = loaded.variants()
    present = [variant for variant in variants if directory.variant(variant.name).is_dir()]
    if not present:
        raise HistoryError(f"{directory.path} holds the history of no variant of its scenario")
    for variant in present:
        history = load(directory.variant(variant.name), variant.name)
        histories[variant.name] = history
        versions |= broker_versions(history)
        verdicts.append(_judge(history, variant))
    duration = sum(verdict.duration_s for verdict in verdicts)
    ended_early = any(never_began(history) for history in histories.values())
    interrupted = meta.controls and len(present) < len(variants) and not ended_early
    verdict = combine(
        verdicts,
        scenario=loaded.scenario.name,
        description=loaded.scenario.description,
        file=meta.file,
        seed=meta.seed,
        replay=meta.replay,
        started_at=meta.started_at,
        duration_s=duration,
        versions=versions,
        interrupted=interrupted,
    )
    return RunResult(verdict, directory, histories, interrupted)


def never_began(history: History) -> bool:
    """Whether a variant failed before it had a broker."""
    kinds = {type(event) for event in history.events}
    return InfrastructureFailed in kinds and BrokerStarted not in kinds


def broker_versions(history: History) -> dict[str, str]:
    """Return what ran the queues, as far as the run got to know it."""
    started = next((event for event in history.events if isinstance(event, BrokerStarted)), None)
    if started is None:
        return {}
    found = {
        "rabbitmq": started.rabbitmq,
        "erlang": started.erlang,
        "image": started.image,
        "image_digest": started.image_digest,
    }
    return {name: value for name, value in found.items() if value}
