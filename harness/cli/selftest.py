"""selftest: the checks tried on the user's own machine, with planted faults or with lies on a real broker."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from harness.cli.options import LARGEST_SEED, REPORTS, BrokerOption, Client, Image, Reports, echo, say
from harness.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lies.scene import Beside, Scene
    from harness.lies.telling import RunOfLies
    from harness.traffic.client_name import ClientName


def selftest(
    run: Annotated[
        str | None, typer.Argument(help="A run directory to plant faults in; a recorded one if not given.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker",
            help="Tell lies between clients and a real broker instead: auto, container, native, compose[:FILE[:SERVICE]], or an amqp:// URL.",
            show_default=False,
        ),
    ] = None,
    image: Image = None,
    client: Client = None,
    reports: Reports = REPORTS,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of what is planted, or lied about.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="How often each kind of fault is planted.")] = 5,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="With --broker: tell the lies beside every fault, not one drawn by the seed, and runs without lies as well.",
        ),
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="With --broker: print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Try the checks: plant faults in a recorded history, or with --broker tell lies on a real broker. They must find every one."""
    if broker is None:
        _plant(run, reports, seed=seed, rounds=rounds)
    elif run is not None:
        raise UsageError("a run directory is for planted faults, --broker for lies: give one of the two")
    else:
        _lie(BrokerOption.parse(broker), image, client, reports, seed=seed, everything=everything, as_json=json_output)


def _plant(run: str | None, reports: Path, *, seed: int, rounds: int) -> None:
    from harness.checks.selftest.selftest import recorded
    from harness.checks.selftest.selftest import selftest as check
    from harness.cli.inspect import open_run, variant_folder
    from harness.history.history import load, verify

    if run is None:
        found, scenario = recorded()
    else:
        directory, loaded = open_run(run, reports)
        guarantee = loaded.variants()[0]
        found, scenario = load(variant_folder(directory, None), guarantee.name), guarantee.scenario
        verify(found)
    result = check(found, scenario, seed=seed, rounds=rounds)
    for row in result.rows:
        echo(f"{'found ' if row.found else 'MISSED'}  {row.kind}: {row.what}")
    missed = sum(not row.found for row in result.rows)
    say(f"{len(result.rows) - missed} of {len(result.rows)} planted faults found")
    raise typer.Exit(int(ExitCode.VIOLATED) if missed else 0)


def _lie(
    option: BrokerOption,
    image: str | None,
    client: ClientName | None,
    reports: Path,
    *,
    seed: int,
    everything: bool,
    as_json: bool,
) -> None:
    from harness.cli.interruptible import interruptible
    from harness.cli.suite import say_swept, sweep_runs
    from harness.lies.registry import lies
    from harness.lies.table import as_json as to_json
    from harness.lies.table import closing, described, markdown
    from harness.lies.telling import load, tell

    say_swept(sweep_runs())
    runs: list[RunOfLies] = []
    with interruptible("interrupted: healing faults and stopping processes; press Ctrl-C again to leave at once"):
        for scene, beside, speaking, honest in planned(client, seed, everything=everything):
            loaded = load(scene, beside, speaking)
            runs.append(
                tell(
                    scene,
                    beside,
                    speaking,
                    names=() if honest else lies(),
                    seed=seed,
                    make_broker=lambda wanted, book, one=loaded: option.make(
                        one.scenario.broker, one.path, wanted, book
                    ),
                    reports=reports,
                    image=image or "",
                )
            )
            for line in described(runs[-1]):
                say(line)
    echo(json.dumps(to_json(runs, seed=seed)) if as_json else markdown(runs), nl=as_json)
    say(closing(runs))
    raise typer.Exit(0 if all(run.right for run in runs) else int(ExitCode.VIOLATED))


class Planned(NamedTuple):
    """A run of lies, or one without any for comparison."""

    scene: Scene
    beside: Beside
    client: ClientName
    honest: bool


def planned(client: ClientName | None, seed: int, *, everything: bool) -> Iterator[Planned]:
    """Plan the runs of every scene: alone with both clients (or the one given), and beside a fault with a client, both drawn.

    With everything: beside every fault with every client, and without lies as well.
    """
    from harness.lies.scene import SCENES, Beside

    faults = [each for each in Beside if each is not Beside.NOTHING]
    clients: tuple[ClientName, ...] = ("pika", "fast") if client is None else (client,)
    random = Random(seed)  # noqa: S311 - reproducible on purpose
    for scene in SCENES:
        if everything:
            for beside in Beside:
                for speaking in clients:
                    yield Planned(scene, beside, speaking, honest=True)
                    yield Planned(scene, beside, speaking, honest=False)
        else:
            for speaking in clients:
                yield Planned(scene, Beside.NOTHING, speaking, honest=False)
            yield Planned(scene, random.choice(faults), random.choice(clients), honest=False)
