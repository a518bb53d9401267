"""A whole run: the guarantee and its controls, one after the other, each in a virtual host or on a broker of its own; then the verdict."""

from __future__ import annotations

import json
import platform
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from harness import __version__
from harness.broker.making import MakeBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.sharing import ended_because
from harness.checks.combine import combine
from harness.engine.host import Host, LocalHost
from harness.engine.judging import RunResult, broker_versions, judged, never_began
from harness.engine.links import Links, MakeLinks
from harness.engine.outbox import FailsafeListener, tell
from harness.engine.rundir import META_FILE, RESOLVED_FILE, SCENARIO_FILE, RunDirectory, slug
from harness.engine.standby import Standby
from harness.engine.variant import OUTLIVING, VariantRun, VariantSetting
from harness.errors import BackendUnavailableError, InfrastructureError, UsageError
from harness.events import (
    Listener,
    Note,
    VariantStarted,
)
from harness.history.events_io import EVENTS_FILE, EventWriter
from harness.interrupts import shielded
from harness.ledger import Ledger
from harness.scenario.load import Loaded
from harness.scenario.resolve import resolve, to_yaml
from harness.scenario.variants import Variant
from harness.traffic.spec import Target
from harness.unforeseen import described
from harness.verdict.data import VariantVerdict

if TYPE_CHECKING:
    from harness.history.history import History


SIGN_BYTES: Final = 6
"""Of what tells a run from all others: in the names of what it starts, and in the identities of its messages."""


MakeHosts = Callable[[Path, Target], tuple[Host, ...]]
"""Gives the machines for publishers and workers: for the folder that their logs end up in, and the broker that they must reach."""


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

    A KeyboardInterrupt ends it in order: what was seen so far is judged and returned. Where a variant's broker cannot be reached, and the
    other variants would share it, they are not tried.
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

    def prepared(index: int, variant: Variant, folder: Path, maker: _Maker) -> Callable[..., VariantRun]:
        standby = Standby(ledger.add_process)
        return partial(
            VariantRun,
            VariantSetting(variant.name, variant.scenario, folder, seed, f"{sign}-{index}"),
            maker,
            make_hosts or partial(_this_machine, standby),
            standby=standby if make_hosts is None else None,
            make_links=None if make_links is None else partial(_linked, make_links, ledger),
        )

    for index, variant in enumerate(variants):
        folder = directory.variant(variant.name)
        wanted = _settings(variant, f"{run_id}-{slug(variant.name)}", folder, image)
        maker = _Maker(make_broker, replace(wanted, virtual_host=f"chaos-{sign}-{index}"), ledger)
        ended = _run_variant(
            prepared(index, variant, folder, maker),
            _started(variant, index, len(variants), loaded),
            variant,
            folder,
            listeners,
        )
        verdicts.append(ended.verdict)
        histories[variant.name] = ended.history
        versions |= broker_versions(ended.history)
        cleaned_up = cleaned_up and ended.cleaned_up
        interrupted = ended.interrupted
        if interrupted or (maker.same_for_all and never_began(ended.history)):
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


class _VariantEnd(NamedTuple):
    history: History
    verdict: VariantVerdict
    interrupted: bool
    cleaned_up: bool


def _run_variant(
    prepared: Callable[..., VariantRun],
    started: VariantStarted,
    variant: Variant,
    folder: Path,
    listeners: Sequence[Listener],
) -> _VariantEnd:
    """Run a variant and judge it as far as it came, whatever fails. `prepared` makes the run for the listeners that it is given."""
    folder.mkdir(parents=True)
    others = [FailsafeListener(listener, folder) for listener in listeners]
    interrupted = False
    failures: list[str] = []
    with EventWriter(folder / EVENTS_FILE) as write:
        told: list[Listener] = [write, *others]
        variant_run = prepared(listeners=told)
        try:
            tell(told, started)
            variant_run.execute()
            for failure in (other.failure for other in others if other.failure is not None):
                write(Note(at_ns=time.monotonic_ns(), variant=variant.name, message=failure))
            write.flush()
        except KeyboardInterrupt:
            interrupted = True
        except Exception as error:  # all that fails in the run's phases is an event already
            failures.append(described(error, folder))
        try:
            with shielded():
                history, verdict = judged(variant, folder, told, failures)
        except KeyboardInterrupt:
            interrupted = True
    return _VariantEnd(history, verdict, interrupted, variant_run.cleaned_up)


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
        fresh=broker.fresh,
        spoiled_by=ended_because(variant.scenario),
    )


def _this_machine(standby: Standby, logs: Path, _target: Target) -> tuple[Host, ...]:
    return (LocalHost(logs, standby),)


def _linked(make: MakeLinks, ledger: Ledger, setting: VariantSetting, target: Target) -> Links:
    return make(setting, target, ledger.add_process)


@dataclass(slots=True)
class _Maker:
    """Makes a variant's broker, and keeps whether the other variants would meet the same one, or none either."""

    make: MakeBroker
    settings: BrokerSettings
    ledger: Ledger
    same_for_all: bool = False

    def __call__(self) -> tuple[Broker, str]:
        try:
            broker, reason = self.make(self.settings, self.ledger)
        except (BackendUnavailableError, UsageError):
            self.same_for_all = True
            raise
        self.same_for_all = broker.name in OUTLIVING
        return broker, reason


def _started(variant: Variant, index: int, total: int, loaded: Loaded) -> VariantStarted:
    return VariantStarted(
        at_ns=time.monotonic_ns(),
        variant=variant.name,
        scenario=loaded.scenario.name,
        index=index,
        total=total,
        settings=variant.settings,
    )
