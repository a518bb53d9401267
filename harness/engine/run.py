"""A whole run: the guarantee and its controls, one after the other, each on a broker of its own; then the verdict."""

from __future__ import annotations

import json
import platform
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from harness import __version__
from harness.broker.protocol import Broker, BrokerSettings
from harness.checks.combine import combine
from harness.engine.host import Host, LocalHost
from harness.engine.links import Links, MakeLinks
from harness.engine.rundir import META_FILE, RESOLVED_FILE, SCENARIO_FILE, RunDirectory, slug
from harness.engine.standby import Standby
from harness.engine.variant import VariantRun, VariantSetting
from harness.errors import HistoryError, InfrastructureError
from harness.events import BrokerStarted, Event, Listener, Phase, PhaseChanged, VariantFinished, VariantStarted
from harness.history.events_io import EVENTS_FILE, EventWriter
from harness.interrupts import shielded
from harness.ledger import Ledger
from harness.scenario.load import Loaded
from harness.scenario.resolve import resolve, to_yaml
from harness.scenario.variants import Variant
from harness.traffic.spec import Target
from harness.verdict.data import RunVerdict, VariantVerdict

if TYPE_CHECKING:
    from harness.history.history import History


SIGN_BYTES: Final = 6
"""Of what tells a run from all others: in the names of what it starts, and in the identities of its messages."""


class MakeBroker(Protocol):
    """Chooses and makes a broker, not started yet, and says in one line which and why."""

    def __call__(self, settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
        """Make it. Raises BrokerError."""


MakeHosts = Callable[[Path, Target], tuple[Host, ...]]
"""Gives the machines for publishers and workers: for the folder that their logs end up in, and the broker that they must reach."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left: its verdict, and what the reports are written from."""

    verdict: RunVerdict
    directory: RunDirectory
    histories: dict[str, History]
    interrupted: bool


def run(
    loaded: Loaded,
    *,
    reports: Path,
    seed: int,
    make_broker: MakeBroker,
    make_hosts: MakeHosts | None = None,
    make_links: MakeLinks | None = None,
    image: str = "",
    replay_options: Sequence[str] = (),
    with_controls: bool = True,
    listeners: Sequence[Listener] = (),
) -> RunResult:
    """Run a scenario's variants: on this machine if `make_hosts` names no others, and directly unless `make_links` puts something between.

    A KeyboardInterrupt ends it in order: what was seen so far is judged and returned.
    """
    now = datetime.now().astimezone()
    began = time.monotonic()
    directory = RunDirectory.create(reports, loaded.scenario.name, now)
    # Another run may have a folder of the same name elsewhere on this machine, begun in the same second.
    sign = secrets.token_hex(SIGN_BYTES)
    run_id = f"{directory.path.name}-{sign}"
    variants = loaded.variants() if with_controls else loaded.variants()[:1]
    replay = shlex.join(
        ["chaos", "run", str(loaded.path), "--seed", str(seed), *replay_options]
        + ([] if with_controls else ["--no-controls"])
    )
    try:
        _keep(loaded, directory, run_id, seed, replay, now)
        directory.point_latest()
    except OSError as error:
        directory.remove()
        raise InfrastructureError(
            f"{directory.path} cannot be written: {error.strerror}; make room on its disk, or choose another with --reports"
        ) from error
    ledger = Ledger(run_id)
    verdicts: list[VariantVerdict] = []
    histories: dict[str, History] = {}
    interrupted, cleaned_up = False, True
    versions = _versions(loaded)
    for index, variant in enumerate(variants):
        folder = directory.variant(variant.name)
        folder.mkdir(parents=True)
        with EventWriter(folder / EVENTS_FILE) as write:
            told: list[Listener] = [write, *listeners]
            settings = _settings(variant, f"{run_id}-{slug(variant.name)}", folder, image)
            standby = Standby(ledger.add_process)
            variant_run = VariantRun(
                VariantSetting(variant.name, variant.scenario, folder, seed, f"{sign}-{index}"),
                _maker(make_broker, settings, ledger),
                make_hosts or partial(_this_machine, standby),
                standby=standby if make_hosts is None else None,
                make_links=None if make_links is None else partial(_linked, make_links, ledger),
                listeners=told,
            )
            try:
                _tell(told, _started(variant, index, len(variants), loaded))
                variant_run.execute()
            except KeyboardInterrupt:
                interrupted = True
            cleaned_up = cleaned_up and variant_run.cleaned_up
            try:
                with shielded():
                    history, verdict = _judged(variant, folder, told)
            except KeyboardInterrupt:
                interrupted = True
        verdicts.append(verdict)
        histories[variant.name] = history
        versions |= _broker_versions(history)
        if interrupted:
            break
    if cleaned_up:
        ledger.close()
    verdict_of_all = combine(
        verdicts,
        scenario=loaded.scenario.name,
        description=loaded.scenario.description,
        file=str(loaded.path),
        seed=seed,
        replay=replay,
        started_at=now.isoformat(timespec="seconds"),
        duration_s=time.monotonic() - began,
        versions=versions,
        interrupted=interrupted,
    )
    return RunResult(verdict_of_all, directory, histories, interrupted)


def _judged(variant: Variant, folder: Path, told: Sequence[Listener]) -> tuple[History, VariantVerdict]:
    """Read what a variant's run left, and judge it."""
    # A command imports these while its broker boots.
    from harness.checks.judge import judge  # noqa: PLC0415
    from harness.history.history import load  # noqa: PLC0415

    _tell(told, PhaseChanged(at_ns=time.monotonic_ns(), variant=variant.name, phase=Phase.CHECK))
    history = load(folder)
    verdict = judge(
        history, variant.scenario, name=variant.name, description=variant.description, settings=variant.settings
    )
    finished = VariantFinished(
        at_ns=time.monotonic_ns(), variant=variant.name, verdict=verdict.outcome.value, headline=verdict.headline
    )
    _tell(told, finished)
    return history, verdict


def judge_again(directory: RunDirectory, loaded: Loaded) -> RunResult:
    """Judge a run directory's histories anew, with the scenario that it holds."""
    from harness.checks.judge import judge  # noqa: PLC0415 - as above
    from harness.history.history import load  # noqa: PLC0415

    try:
        meta = json.loads((directory.path / META_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HistoryError(f"{directory.path / META_FILE} cannot be read: {error}") from error
    verdicts: list[VariantVerdict] = []
    histories: dict[str, History] = {}
    versions: dict[str, str] = dict(meta["versions"])
    variants = loaded.variants()
    present = [variant for variant in variants if (directory.variant(variant.name) / EVENTS_FILE).exists()]
    for variant in present:
        history = load(directory.variant(variant.name))
        histories[variant.name] = history
        versions |= _broker_versions(history)
        verdicts.append(
            judge(
                history, variant.scenario, name=variant.name, description=variant.description, settings=variant.settings
            )
        )
    duration = sum(verdict.duration_s for verdict in verdicts)
    interrupted = bool(meta.get("controls", True)) and len(present) < len(variants)
    verdict = combine(
        verdicts,
        scenario=loaded.scenario.name,
        description=loaded.scenario.description,
        file=meta["file"],
        seed=meta["seed"],
        replay=meta["replay"],
        started_at=meta["started_at"],
        duration_s=duration,
        versions=versions,
        interrupted=interrupted,
    )
    return RunResult(verdict, directory, histories, interrupted)


def _keep(loaded: Loaded, directory: RunDirectory, run_id: str, seed: int, replay: str, now: datetime) -> None:
    """Keep the scenario as written and as resolved, and what it takes to run or judge it again."""
    (directory.path / SCENARIO_FILE).write_text(loaded.text, encoding="utf-8")
    resolved = to_yaml(resolve(loaded.scenario, seed=seed))
    (directory.path / RESOLVED_FILE).write_text(resolved, encoding="utf-8")
    meta = {
        "file": str(loaded.path),
        "run": run_id,
        "seed": seed,
        "replay": replay,
        "started_at": now.isoformat(timespec="seconds"),
        "versions": _versions(loaded),
        "controls": "--no-controls" not in replay,
    }
    (directory.path / META_FILE).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _versions(loaded: Loaded) -> dict[str, str]:
    import pika  # noqa: PLC0415 - only its version is wanted, late

    return {
        "harness": __version__,
        "python": platform.python_version(),
        "pika": pika.__version__,
        "client": loaded.scenario.client,
        "platform": platform.platform(),
    }


def _broker_versions(history: History) -> dict[str, str]:
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


def _settings(variant: Variant, run_id: str, folder: Path, image: str) -> BrokerSettings:
    broker = variant.scenario.broker
    return BrokerSettings(
        run_id=run_id,
        directory=folder,
        image=image or broker.image or "",
        config={
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in broker.config.items()
        },
        plugins=broker.plugins,
        permit=broker.permit,
        nodes=broker.nodes,
    )


def _this_machine(standby: Standby, logs: Path, _target: Target) -> tuple[Host, ...]:
    return (LocalHost(logs, standby),)


def _linked(make: MakeLinks, ledger: Ledger, setting: VariantSetting, target: Target) -> Links:
    return make(setting, target, ledger.add_process)


def _maker(make: MakeBroker, settings: BrokerSettings, ledger: Ledger) -> Callable[[], tuple[Broker, str]]:
    return lambda: make(settings, ledger)


def _started(variant: Variant, index: int, total: int, loaded: Loaded) -> VariantStarted:
    return VariantStarted(
        at_ns=time.monotonic_ns(),
        variant=variant.name,
        scenario=loaded.scenario.name,
        index=index,
        total=total,
        settings=variant.settings,
    )


def _tell(listeners: Sequence[Listener], event: Event) -> None:
    for listener in listeners:
        listener(event)
