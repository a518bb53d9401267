from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.matrix import Cell, make_cells, parse_axis, run_matrix
from harness.cli.options import BrokerOption
from harness.cli.processes import Job
from harness.cli.settings import Settings
from harness.errors import ScenarioError, UsageError
from harness.faults.registry import actions
from harness.report.suite import Axes, print_suite, suite_markdown
from harness.scenario.load import load
from harness.verdict.data import Outcome
from harness.verdict.repetitions import by_scenario
from tests.unit.test_cli_searching import Told, told

KILL = Path("scenarios/worker_kill.yaml")


def cells(folder: Path, *over: str, controls: bool = True) -> tuple[Cell, ...]:
    axes = [parse_axis(text) for text in over]
    return make_cells([load(KILL, actions())], axes, BrokerOption(), folder, controls=controls)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=classic,quorum", ("classic", "quorum")),
        ("a=1, 2.5,true,no", (1, 2.5, True, "no")),
        ('a="x,y",z', ("x,y", "z")),
        ("a=[1, 2],{b: c}", ([1, 2], {"b": "c"})),
        ("a=b=c", ("b=c",)),
        ('a=">= 1"', (">= 1",)),
    ],
)
def test_an_axis_has_the_values_that_yaml_reads(text: str, values: tuple[object, ...]) -> None:
    assert parse_axis(text).values == values
    assert parse_axis(text).path == text.partition("=")[0]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        (("workers.prefetch",), "a setting and its values are wanted"),
        (("=1",), "a setting and its values are wanted"),
        (("a=",), "the values cannot be read: there is none"),
        (("a=[1",), "the values cannot be read: the list in brackets"),
        (("a=1], b: [2",), "the values cannot be read: they are not written as a list in YAML"),
        (("a=&x 1",), "the values cannot be read: anchors"),
        (("a=1,1",), "1 is given twice"),
        (("workers.prefetch=1", "workers.prefetch=2"), "--over workers.prefetch is given twice"),
        (("seed=1,2",), "--repeat runs each combination with fresh seeds"),
        (("expect.lost=1",), "--over expect.lost: only settings of the queues"),
        (("workers.prefetch=" + ",".join(map(str, range(1, 1002))),), "1,001 combinations; at most 1,000"),
        (("workers.ack=manual",), "did you mean acks?"),
        (("workers.acks=manul",), "did you mean manual?"),
        (
            ("workers.acks=automatic",),
            "takes nothing away: it sets what is so already; --no-controls runs the guarantee",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(tmp_path: Path, over: tuple[str, ...], said: str) -> None:
    arguments = ["matrix", str(KILL), "--reports", str(tmp_path / "reports")]
    result = CliRunner().invoke(app, arguments + [part for text in over for part in ("--over", text)])
    assert isinstance(result.exception, UsageError | ScenarioError)
    assert said in str(result.exception)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("path", "option"),
    [("broker.backend", ("--broker", "native")), ("broker.image", ("--image", "x")), ("client", ("--client", "fast"))],
)
def test_an_axis_that_an_option_would_level_is_refused(tmp_path: Path, path: str, option: tuple[str, str]) -> None:
    arguments = ["matrix", str(KILL), "--over", f"{path}=native,pika", *option, "--reports", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert str(result.exception) == (
        f"--over {path} and {' '.join(option)} contradict each other; leave one of them away"
    )


def test_every_combination_is_a_scenario_of_its_own(tmp_path: Path) -> None:
    made = cells(tmp_path, "queues.tasks.type=classic,quorum", "workers.prefetch=1,50")
    assert [cell.values for cell in made] == [
        ("classic", "1"),
        ("classic", "50"),
        ("quorum", "1"),
        ("quorum", "50"),
    ]
    for cell in made:
        again = load(cell.loaded.path, actions())
        for variant in again.variants():
            scenario = variant.scenario
            assert (scenario.queues["tasks"].type, str(scenario.workers[0].prefetch)) == cell.values
        assert len(again.variants()) == 2
        assert again.scenario.name == f"worker kill, type={cell.values[0]}, prefetch={cell.values[1]}"


def test_without_controls_what_they_take_away_can_vary(tmp_path: Path) -> None:
    made = cells(tmp_path, "workers.acks=manual,automatic", controls=False)
    assert [len(cell.loaded.variants()) for cell in made] == [1, 1]
    assert [cell.loaded.scenario.workers[0].acks for cell in made] == ["manual", "automatic"]


def test_all_combinations_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as raised:
        cells(tmp_path / "new", "workers.acks=manual,automatic,manul")
    assert [problem.file for problem in raised.value.problems] == [
        f"{KILL} --over workers.acks=automatic",
        f"{KILL} --over workers.acks=manul",
    ]
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written: .*; choose another folder with --reports"):
        cells(tmp_path / "taken", "workers.prefetch=1")


def settings(tmp_path: Path, seed: int | None) -> Settings:
    return Settings(
        option=BrokerOption(),
        broker=None,
        image=None,
        reports=tmp_path,
        seed=seed,
        controls=True,
        quiet=True,
        json_output=False,
    )


@pytest.mark.parametrize("seed", [None, 40])
def test_each_combination_runs_as_often_as_asked_for_with_a_seed_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    crew = Told(lambda loaded: Outcome.VIOLATED if loaded.scenario.workers[0].prefetch == 1 else Outcome.AS_EXPECTED)
    monkeypatch.setattr("harness.cli.executor.executor_for", lambda *_: nullcontext(crew))
    monkeypatch.setattr("harness.cli.suite.sweep_everything", lambda: ())
    made = cells(tmp_path, "workers.prefetch=1,50")
    batch = run_matrix(made, settings(tmp_path, seed), repeat=3, jobs=1)
    assert [job.loaded for job in crew.jobs] == [cell.loaded for cell in made] * 3
    seeds = [job.seed for job in crew.jobs if job.loaded is made[0].loaded]
    assert len(set(seeds)) == 3
    assert seed is None or seeds == [40, 41, 42]
    assert [run.outcome for run in batch.runs] == [Outcome.VIOLATED, Outcome.AS_EXPECTED] * 3


def test_the_table_shows_each_combination_by_its_values_and_what_it_lost(tmp_path: Path) -> None:
    made = cells(tmp_path, "queues.tasks.type=classic,quorum", "workers.prefetch=1,50")
    crew = Told(lambda loaded: Outcome.VIOLATED if loaded.scenario.workers[0].prefetch == 1 else Outcome.AS_EXPECTED)
    runs = [told(Job(cell.loaded, seed), crew.judge(cell.loaded)) for seed in (1, 2) for cell in made]
    axes = Axes(("queues.tasks.type", "workers.prefetch"), {str(cell.loaded.path): cell.values for cell in made})
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=200, file=nowhere)
        print_suite(by_scenario(runs), console, axes)
    said = [line.split() for line in console.export_text().splitlines() if line.strip()]
    assert said[0] == ["queues.tasks.type", "workers.prefetch", "verdict", "runs", "lost", "variants", "seconds"]
    promised = f"{runs[1].variants[0].promised * 2:,}"
    assert said[2] == ["classic", "50", "as", "expected", "2", "0", "of", promised, "1", "2.0"]
    assert said[1][:3] == ["classic", "1", "violated"]
    assert said[1][4:7] == ["6", "of", f"{runs[0].variants[0].promised * 2:,}"]
    lines = suite_markdown(by_scenario(runs), title="matrix", axes=axes).splitlines()
    assert lines[4] == "| queues.tasks.type | workers.prefetch | verdict | runs | lost | in a sentence |"
    assert lines[7].startswith("| classic | 50 | ✅ as expected | 2 | 0 of ")
