from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import searching, several
from harness.cli.explore import conclude
from harness.cli.options import BrokerOption
from harness.cli.processes import Ended, Job
from harness.cli.searching import AGAIN, FOUND, Search
from harness.cli.settings import Settings
from harness.cli.several import Batch
from harness.errors import ExitCode, ScenarioError
from harness.faults.process import Kill
from harness.faults.registry import actions
from harness.scenario.load import Loaded, load, load_text
from harness.search.exploration import FAILURES, Exploration
from harness.search.trial_outcome import TrialOutcome
from harness.verdict.data import Outcome, RunVerdict
from tests.unit import report_samples as samples

KILL = load(Path("scenarios/worker_kill.yaml"), actions())
RESTART = load(Path("scenarios/broker_restart.yaml"), actions())
Judge = Callable[[Loaded], Outcome]


class Clock:
    """The time that batches see: it passes while runs go on, by what their verdicts say."""

    now = 0.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "CONTROL_SCHEDULES", FEW)
    monkeypatch.setattr(Clock, "now", 0.0)
    monkeypatch.setattr(several, "time", SimpleNamespace(monotonic=lambda: Clock.now))


FEW = 4
"""Schedules of a control: enough where nothing hangs on how many."""


@dataclass
class Told:
    """A crew whose runs come to what a function of the scenario says."""

    judge: Judge
    room: int | None = None
    jobs: list[Job] = field(default_factory=list)

    def run(self, job: Job) -> Ended | None:
        assert job.loaded.path.read_text(encoding="utf-8") == job.loaded.text, (
            "the file is there for the process that runs it"
        )
        self.jobs.append(job)
        verdict = told(job, self.judge(job.loaded))
        Clock.now += verdict.duration_s
        return Ended(job, verdict, "", "", failed=verdict.outcome is Outcome.INFRASTRUCTURE)

    def interrupt(self) -> None:
        pass


def told(job: Job, outcome: Outcome) -> RunVerdict:
    made = (samples.failing(3) if outcome is Outcome.VIOLATED else samples.passing()).run
    return replace(
        made,
        outcome=outcome,
        scenario=job.loaded.scenario.name,
        file=str(job.loaded.path),
        seed=job.seed,
        duration_s=1.0,
        variants=made.variants[:1],
    )


def settings(tmp_path: Path) -> Settings:
    return Settings(
        option=BrokerOption(),
        broker="amqp://me:secret@127.0.0.1",
        image=None,
        reports=tmp_path / "runs",
        seed=None,
        controls=True,
        quiet=True,
        json_output=False,
    )


def search(
    crew: Told, tmp_path: Path, *, loaded: Loaded = KILL, seed: int = 4, jobs: int = 1, budget_s: float = 4.0
) -> Exploration:
    made = Search(loaded, settings(tmp_path), Batch(crew, jobs), tmp_path, seed=seed, most_steps=6)
    return made.run(budget_s, controls=True)


def kills_a_worker(loaded: Loaded) -> bool:
    return any(isinstance(step.action, Kill) and step.action.worker is not None for step in loaded.scenario.timeline)


def automatic(loaded: Loaded) -> bool:
    return loaded.scenario.workers[0].acks == "automatic"


def only_the_control_loses(loaded: Loaded) -> Outcome:
    return Outcome.VIOLATED if automatic(loaded) and kills_a_worker(loaded) else Outcome.AS_EXPECTED


def a_killed_worker_loses(loaded: Loaded) -> Outcome:
    return Outcome.VIOLATED if kills_a_worker(loaded) else Outcome.AS_EXPECTED


def test_a_guarantee_that_holds_is_told_after_the_control_was_caught(tmp_path: Path) -> None:
    crew = Told(only_the_control_loses)
    made = search(crew, tmp_path, budget_s=8.0)
    assert made.outcome is Outcome.AS_EXPECTED
    (control,) = made.controls
    assert control.found is not None
    assert [each.number for each in control.ran] == list(range(1, control.found.number + 1)), "none after it was caught"
    assert [each.number for each in made.guarantee.ran] == list(range(1, 9 - len(control.ran))), "a second each"
    assert [automatic(job.loaded) for job in crew.jobs[: len(control.ran) + 1]] == [True] * len(control.ran) + [False]
    assert conclude(made, tmp_path, settings(tmp_path), no_color=True) is ExitCode.AS_EXPECTED


def test_one_schedule_is_run_whatever_the_budget(tmp_path: Path) -> None:
    made = search(Told(only_the_control_loses), tmp_path, budget_s=0.0)
    assert [len(each.ran) for each in (made.guarantee, *made.controls)] == [1, 1]


def test_a_finding_is_shrunk_to_the_step_that_matters_and_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crew = Told(a_killed_worker_loses)
    made = search(crew, tmp_path, budget_s=60.0)
    assert made.outcome is Outcome.VIOLATED
    assert made.shrunk is not None
    assert [set(step) - {"at", "after"} for step in made.shrunk] == [{"kill"}]
    assert made.again == [TrialOutcome.BROKEN] * AGAIN
    found = load(tmp_path / FOUND, actions())
    assert kills_a_worker(found)
    assert [variant.name for variant in found.variants()] == ["guarantee"]
    assert [job.loaded.path for job in crew.jobs[-AGAIN:]] == [tmp_path / FOUND] * AGAIN
    assert len({job.seed for job in crew.jobs[-AGAIN:]}) == AGAIN
    assert conclude(made, tmp_path, settings(tmp_path), no_color=True) is ExitCode.VIOLATED
    assert f"chaos run {tmp_path / FOUND} --broker 'amqp://me:***@127.0.0.1'\n" in capsys.readouterr().out


def test_a_loss_that_needs_no_fault_is_shrunk_to_none(tmp_path: Path) -> None:
    made = search(Told(lambda _: Outcome.VIOLATED), tmp_path)
    assert made.shrunk == ()
    assert load(tmp_path / FOUND, actions()).scenario.timeline == ()


@pytest.mark.parametrize("budget_s", [4.0, 9.0])
@pytest.mark.parametrize("judge", [only_the_control_loses, a_killed_worker_loses, lambda _: Outcome.AS_EXPECTED])
def test_the_controls_and_the_shrinking_keep_to_the_budget(judge: Judge, budget_s: float, tmp_path: Path) -> None:
    made = search(Told(judge), tmp_path, budget_s=budget_s)
    assert Clock.now <= budget_s
    assert len(made.guarantee.ran) >= 1


def test_a_finding_that_the_budget_leaves_no_time_to_shrink_says_so_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = search(Told(lambda _: Outcome.VIOLATED), tmp_path, budget_s=2.0)
    assert made.guarantee.found is not None
    assert (made.shrunk, made.again) == (made.guarantee.found.steps, [])
    assert "not shrunk to the end, as the budget was over" in made.headline
    assert load(tmp_path / FOUND, actions()).scenario.timeline != ()
    assert conclude(made, tmp_path, settings(tmp_path), no_color=True) is ExitCode.VIOLATED
    assert f"chaos run {tmp_path / FOUND}" in capsys.readouterr().out


def test_an_exploration_ends_once_its_first_schedules_all_failed_with_the_same(tmp_path: Path) -> None:
    @dataclass
    class Failing(Told):
        def run(self, job: Job) -> Ended | None:
            ended = super().run(job)
            assert ended is not None
            headline = f"port {5000 + len(self.jobs)} of /tmp/run-{job.seed} is taken"
            return replace(ended, verdict=replace(ended.verdict, headline=headline))

    made = search(Failing(lambda _: Outcome.INFRASTRUCTURE), tmp_path, budget_s=3600.0)
    assert [len(each.ran) for each in (made.guarantee, *made.controls)] == [0, FAILURES]
    assert made.outcome is Outcome.INFRASTRUCTURE
    assert "the first 3 schedules all failed, and no more were run: port 5001 of /tmp/run-" in made.headline


def test_an_exploration_goes_on_while_its_schedules_fail_with_something_else_each(tmp_path: Path) -> None:
    @dataclass
    class Failing(Told):
        def run(self, job: Job) -> Ended | None:
            ended = super().run(job)
            assert ended is not None
            return replace(ended, verdict=replace(ended.verdict, headline="no broker" + "!" * len(self.jobs)))

    made = search(Failing(lambda _: Outcome.INFRASTRUCTURE), tmp_path, budget_s=2.0 * FEW)
    assert [len(each.ran) for each in made.controls] == [FEW]


def test_a_control_that_is_never_caught_makes_it_inconclusive(tmp_path: Path) -> None:
    made = search(Told(lambda _: Outcome.AS_EXPECTED), tmp_path, budget_s=2.0 * FEW)
    assert made.outcome is Outcome.INCONCLUSIVE
    assert [len(each.ran) for each in made.controls] == [FEW]


def test_the_same_seed_gives_the_same_schedules_however_many_run_at_once(tmp_path: Path) -> None:
    def schedules(seed: int, jobs: int) -> dict[str, str]:
        crew = Told(only_the_control_loses)
        folder = tmp_path / f"{seed}-{jobs}"
        search(crew, folder, seed=seed, jobs=jobs, budget_s=4.0 * jobs)  # some more of the control run at once
        return {job.loaded.path.name: f"{job.loaded.text} {job.seed}" for job in crew.jobs}

    one, two, other = schedules(4, 1), schedules(4, 3), schedules(2, 1)
    assert {name: text for name, text in two.items() if name in one} == one
    assert one.keys() & other.keys()
    assert all(one[name] != other[name] for name in one.keys() & other.keys())


def test_a_schedule_is_the_same_for_the_guarantee_and_its_controls(tmp_path: Path) -> None:
    crew = Told(lambda _: Outcome.AS_EXPECTED)
    search(crew, tmp_path, loaded=RESTART)
    first = [job.loaded.scenario for job in crew.jobs if job.loaded.scenario.name.endswith("schedule 1")]
    assert len(first) == 3
    assert first[0].timeline == first[1].timeline == first[2].timeline
    assert {(one.publishers[0].persistent, one.queues["tasks"].durable) for one in first} == {
        (True, True),
        (False, True),
        (True, False),
    }


def test_what_a_scenario_says_becomes_of_messages_is_allowed_under_every_schedule(tmp_path: Path) -> None:
    text = """
name: x
queues: {tasks: {dead_letter: dead, max_length: 900}, dead: {message_ttl: 1s}}
publishers: {messages: 1000}
workers: {queue: tasks, fails: {every: 10, by: reject}}
expect: {dead_lettered: 100, expired: 0, lost: 0, redelivered: 5}
controls:
  automatic acks: {set: {workers.acks: automatic}, expect: {lost: ">= 1", dropped: "0..5"}}
"""
    crew = Told(lambda _: Outcome.AS_EXPECTED)
    search(crew, tmp_path, loaded=load_text(text, tmp_path / "x.yaml", actions()))
    expected = {str(job.loaded.scenario.workers[0].acks): job.loaded.scenario.expect for job in crew.jobs}
    assert {acks: expect.model_dump(mode="json", exclude_defaults=True) for acks, expect in expected.items()} == {
        "manual": {"dead_lettered": ">= 0"},
        "automatic": {"dead_lettered": ">= 0", "dropped": ">= 0"},
    }


def test_with_nobody_left_to_run_anything_it_ends(tmp_path: Path) -> None:
    made = search(Told(lambda _: Outcome.INFRASTRUCTURE, room=0), tmp_path, budget_s=3600.0)
    assert [len(each.ran) for each in (made.guarantee, *made.controls)] == [1, 1]
    assert made.outcome is Outcome.INFRASTRUCTURE


def test_a_schedule_that_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = ({"after": {"published": 10**6}, "kill": {"worker": "any"}},)
    monkeypatch.setattr("harness.cli.searching.draw_timeline", lambda *_, **__: beyond)
    with pytest.raises(ScenarioError, match=r"^scenarios/worker_kill.yaml, schedule 1: "):
        search(Told(only_the_control_loses), tmp_path)
    assert not (tmp_path / "schedules").exists()


def test_a_summary_that_cannot_be_written_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = search(Told(only_the_control_loses), tmp_path)
    (tmp_path / "summary.md").mkdir()
    assert conclude(made, tmp_path, settings(tmp_path), no_color=True) is ExitCode.INFRASTRUCTURE
    assert "the summary could not be written" in capsys.readouterr().err
