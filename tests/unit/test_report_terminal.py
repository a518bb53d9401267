from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from harness.events import (
    BrokerBooting,
    BrokerStarted,
    Drained,
    Event,
    FaultHealed,
    FaultInjected,
    FaultMissed,
    InfrastructureFailed,
    Note,
    Phase,
    PhaseChanged,
    ProcessExited,
    Progress,
    TrafficStarted,
    VariantFinished,
    VariantStarted,
)
from harness.report.broker_log import Complaints
from harness.report.markdown import markdown
from harness.report.progress import Follower
from harness.report.summary import standing
from harness.report.terminal import LiveProgress, print_verdict
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples

SECOND = 1_000_000_000
V = "guarantee"


def progress(at_s: float, processed: int, *, expected: int | None = 1000, phase: Phase = Phase.TRAFFIC) -> Progress:
    return Progress(
        at_ns=round(at_s * SECOND),
        variant=V,
        phase=phase,
        published=processed + 50,
        confirmed=processed + 40,
        delivered=processed + 30,
        processed=processed,
        acked=processed,
        backlog=50,
        in_flight=30,
        expected_messages=expected,
        expected_copies=expected,
    )


def story(name: str = "worker kill", title: str = "kill worker-1") -> list[Event]:
    return [
        VariantStarted(at_ns=SECOND, variant=V, scenario=name, index=0, total=2),
        PhaseChanged(at_ns=SECOND, variant=V, phase=Phase.PROVISION),
        BrokerBooting(at_ns=SECOND, variant=V, backend="native", reason="no Docker engine answers"),
        BrokerStarted(
            at_ns=2 * SECOND,
            variant=V,
            backend="native",
            reason="no Docker engine answers",
            endpoint="",
            nodes=("n1",),
            rabbitmq="4.0.5",
            erlang="27",
        ),
        PhaseChanged(at_ns=2 * SECOND, variant=V, phase=Phase.TRAFFIC),
        TrafficStarted(at_ns=10 * SECOND, variant=V),
        progress(10.2, 10),
        progress(10.4, 20),
        FaultInjected(
            at_ns=round(10.5 * SECOND),
            variant=V,
            fault=0,
            action="kill",
            title=title,
            family="process",
            colour="#c0392b",
            targets=("worker-1",),
            struck_at_ns=round(10.5 * SECOND),
            healable=True,
        ),
        progress(10.8, 40),
        progress(12.5, 210),
        FaultHealed(at_ns=13 * SECOND, variant=V, fault=0, action="kill"),
        Drained(at_ns=14 * SECOND, variant=V, complete=True, reason="everything is accounted for"),
        VariantFinished(at_ns=15 * SECOND, variant=V, verdict="as expected", headline="Nothing was lost."),
    ]


def shown(events: list[Event], *, terminal: bool = False, quiet: bool = False, width: int = 200) -> str:
    out = io.StringIO()
    colours: Literal["truecolor"] | None = "truecolor" if terminal else None
    console = Console(file=out, force_terminal=terminal, width=width, highlight=False, color_system=colours)
    live = LiveProgress(console, quiet=quiet, now_ns=lambda: 12 * SECOND)
    for event in events:
        live(event)
    live.close()
    live.close()
    return out.getvalue()


def without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_without_a_terminal_a_run_is_a_few_plain_lines() -> None:
    text = shown(story())
    assert "\x1b" not in text
    assert [line.strip() for line in text.splitlines()] == [
        "worker kill · guarantee (1 of 2)",
        "provision",
        "starting RabbitMQ on the native backend",
        "RabbitMQ 4.0.5 (Erlang 27) on the native backend: no Docker engine answers",
        "traffic",
        "traffic begins",
        "0.2 s  published 60 of 1,000, confirmed 50, processed 10 (0/s), in flight 30, backlog 50",
        "0.5 s  ▌kill worker-1",
        "2.5 s  published 260 of 1,000, confirmed 250, processed 210 (90/s), in flight 30, backlog 50, about 9 s left",
        "3.0 s  ▌kill worker-1: healed after 2.5 s",
        "4.0 s  drained: everything is accounted for",
        "as expected  Nothing was lost.",
    ]


def test_a_strike_that_took_its_time_says_so_as_its_line_comes_late() -> None:
    events = [
        replace(event, struck_at_ns=event.at_ns + round(1.4 * SECOND)) if isinstance(event, FaultInjected) else event
        for event in story()
    ]
    assert "     0.5 s  ▌kill worker-1 (took 1.4 s)" in shown(events).splitlines()


def test_counters_come_at_most_every_two_seconds_without_a_terminal() -> None:
    events: list[Event] = [progress(10 + tenth / 10, tenth) for tenth in range(100)]
    assert shown(events).count("published") == 5


def test_a_terminal_gets_a_display_that_renews_itself_and_faults_that_stay_in_their_colour() -> None:
    text = shown(story(), terminal=True)
    assert "\x1b[38;2;192;57;43m▌" in text
    plain = without_escapes(text)
    assert "kill worker-1: healed after 2.5 s" in plain
    assert "kill worker-1 not healed yet" in plain
    assert re.search(r"260\s+250\s+210\s+30\s+50", plain)
    assert "s left" not in plain, "the rates of before the healing foretell nothing"
    unhealed = [event for event in story() if not isinstance(event, FaultHealed)]
    assert "about 9 s left" in without_escapes(shown(unhealed, terminal=True))
    assert text.endswith("Nothing was lost.\n"), "the display is gone when the variant is over"


def test_quiet_shows_nothing() -> None:
    assert shown(story(), quiet=True) == ""


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    live = LiveProgress(Console(file=out, force_terminal=True, width=120, highlight=False), now_ns=lambda: 12 * SECOND)
    for event in story():
        live(event)
    live.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", out.getvalue())
    assert "kill worker-1" in out.getvalue()


def test_what_went_wrong_is_told_at_once() -> None:
    events: list[Event] = [
        FaultMissed(at_ns=1, variant=V, fault=1, action="pause", reason="no worker was alive"),
        ProcessExited(
            at_ns=1, variant=V, role="worker", actor="worker-1", incarnation=1, exit_code=1, cause="unexpected"
        ),
        Drained(at_ns=1, variant=V, complete=False, reason="3 messages are still queued"),
        InfrastructureFailed(at_ns=1, variant=V, message="the broker did not come back"),
        Note(at_ns=1, variant=V, message="the stop ended in SIGKILL"),
    ]
    text = shown(events)
    for said in (
        "step 2 (pause) never struck: no worker was alive",
        "worker-1 exited unexpectedly (exit code 1)",
        "the drain did not finish: 3 messages are still queued",
        "the broker did not come back",
        "note: the stop ended in SIGKILL",
    ):
        assert said in text


@pytest.mark.parametrize("terminal", [True, False])
def test_hostile_names_reach_no_terminal(terminal: bool) -> None:
    text = without_escapes(shown(story(samples.HOSTILE, samples.HOSTILE), terminal=terminal, width=1000))
    assert not set("\x1b\x00\x07\u202e\u2066") & set(text)
    assert "[bold]rich[/bold]" in text, "markup is text"


def test_rates_are_means_over_the_last_two_seconds() -> None:
    follower = Follower()
    for at_s, processed in ((0.0, 0), (0.1, 500), (2.0, 1000), (3.0, 1100), (4.0, 1200)):
        standing = follower.advance(progress(at_s, processed, expected=1500))
    assert standing.rates.processed == pytest.approx(100)
    assert standing.left_s is None, "no phase is known yet"
    standing = follower.advance(PhaseChanged(at_ns=0, variant=V, phase=Phase.TRAFFIC))
    assert standing.left_s == pytest.approx(3.0)


def test_the_time_left_and_the_bar_go_by_copies() -> None:
    follower = Follower()
    follower.advance(PhaseChanged(at_ns=0, variant=V, phase=Phase.TRAFFIC))
    for at_s, processed in ((0.1, 0), (4.1, 400)):
        standing = follower.advance(replace(progress(at_s, processed), expected_messages=500, expected_copies=1000))
    assert standing.left_s == pytest.approx(6.0)


def test_no_time_left_is_told_without_a_bound_or_a_rate() -> None:
    follower = Follower()
    follower.advance(PhaseChanged(at_ns=0, variant=V, phase=Phase.TRAFFIC))
    assert follower.advance(progress(1, 0)).left_s is None
    assert follower.advance(progress(2, 100, expected=None)).left_s is None


def verdict_of(name: str, *, width: int = 140) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=width, highlight=False)
    print_verdict(samples.ALL[name]().run, console, directory=Path("reports/run"))
    return out.getvalue()


def test_the_verdict_comes_first_then_guarantee_and_controls() -> None:
    text = verdict_of("passing")
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[0].startswith("AS EXPECTED  40 tasks: all done across 1 broker restart; loss rate")
    rows = [line.split() for line in lines]
    assert ["guarantee", "lost", "0", "0", "ok"] in rows
    assert ["transient", "messages", "publishers.persistent:", "false", "lost", ">=", "1", "5", "ok"] in rows
    assert ["non-durable", "queue", "queues.tasks.durable:", "false", "lost", ">=", "1", "9", "ok"] in rows
    assert lines[-2:] == ["report  reports/run/report.html", "replay  chaos run scenarios/sample.yaml --seed 42"]


def test_a_violation_names_its_cause_and_what_did_not_hold() -> None:
    text = verdict_of("failing")
    assert text.lstrip().startswith("VIOLATED")
    assert re.search(r"guarantee\s+lost 0\s+312\s+NOT OK", text)
    assert "332 tasks: 20 done, 312 lost at worker-1 by `kill worker-1`" in text
    assert text.count("312 messages were lost at worker-1") == 1
    assert "lost: expected 0, observed 312" in text


def test_what_holds_in_a_run_that_proved_nothing_is_not_called_ok() -> None:
    assert re.search(r"lost 0\s+0\s+not proved", verdict_of("infrastructure"))
    variant = samples.passing().run.variants[0]
    assert variant.outcome is Outcome.AS_EXPECTED


def test_a_narrow_terminal_gets_the_settings_below_the_name() -> None:
    text = verdict_of("passing", width=70)
    assert re.search(r"^transient messages\s+lost >= 1", text, re.M)
    assert re.search(r"^publishers\.persistent: false", text, re.M)


def test_lost_messages_and_those_done_twice_are_named_with_the_way_to_their_lives() -> None:
    lines = verdict_of("every fate").splitlines()
    assert "  lost: publisher-1#20, publisher-1#21, publisher-1#22" in lines
    twice = "publisher-1#0, publisher-1#1, publisher-1#2, publisher-1#3, publisher-1#4"
    assert f"  done more than once: {twice}" in lines
    assert lines[-3] == "trace   chaos trace reports/run publisher-1#20"
    assert "trace " not in verdict_of("infrastructure")


NO_CONTROL = "No control ran: this run has not shown that it would notice a loss."


def test_a_run_that_lost_nothing_says_if_no_control_showed_a_loss() -> None:
    sample = samples.passing()
    alone = replace(sample.run, variants=sample.run.variants[:1])
    out = io.StringIO()
    print_verdict(alone, Console(file=out, width=140), directory=Path("x"))
    assert NO_CONTROL in out.getvalue().splitlines()
    assert NO_CONTROL in markdown(alone).splitlines()
    assert NO_CONTROL not in verdict_of("passing")
    assert NO_CONTROL not in markdown(sample.run)


@pytest.mark.parametrize("name", ["failing", "infrastructure", "without variants"])
def test_only_a_green_run_is_said_to_have_no_control(name: str) -> None:
    assert NO_CONTROL not in verdict_of(name)


def test_a_run_without_variants_has_a_verdict_too() -> None:
    assert "INTERRUPTED  Interrupted before anything was judged." in verdict_of("without variants")


def test_a_hostile_verdict_steers_no_terminal() -> None:
    text = verdict_of("hostile", width=2000)
    assert not set("\x1b\x00\x07\u202e\u2066\r") & set(text)
    assert "[bold]rich[/bold]" in text


def test_what_was_not_done_or_done_twice_is_told_with_its_cause() -> None:
    text = " ".join(verdict_of("every fate").split())
    for said in (
        "dropped 0 (not stated) 18 NOT OK",
        "17 messages expired by the time to live of tasks.",
        "2 messages may have been dropped by the length limit of tasks.",
    ):
        assert said in text
    assert "and 3 more causes, in the report" in text


def test_an_interval_that_decides_nothing_is_undecided() -> None:
    result = samples.failing(3).run.variants[0].expectations[0]
    variant = samples.failing(3).run.variants[0]
    assert standing(variant, replace(result, holds=None, observed="0 to 2")) == "undecided"
    assert standing(variant, replace(result, holds=None, observed="nothing")) == "not measured"


def test_the_brokers_complaints_are_printed_fault_or_not() -> None:
    sample = samples.passing()
    run = replace(sample.run, variants=tuple(replace(each, faults=(), notes=()) for each in sample.run.variants))
    lines = tuple(f"2026-11-24 09:00:00+00:00 [warning] <0.1.0> number {number}" for number in range(9))
    out = io.StringIO()
    found = {"guarantee": (Complaints("n1", lines, 1),)}
    print_verdict(run, Console(file=out, width=140), directory=Path("x"), complaints=found)
    text = out.getvalue()
    assert "guarantee\n  10 lines of warnings and errors in the log of n1:\n    2026-11-24" in text
    assert "number 5" in text
    assert "number 6" not in text
    assert "and 4 more lines, in the report" in text


def test_many_causes_are_counted_not_listed() -> None:
    run = samples.failing(3).run
    variant = run.variants[0]
    many = replace(variant, causes=tuple(replace(variant.causes[0], sentence=f"cause {n}") for n in range(9)))
    out = io.StringIO()
    print_verdict(replace(run, variants=(many,)), Console(file=out, width=140), directory=Path("x"))
    assert "cause 4" in out.getvalue()
    assert "cause 5" not in out.getvalue()
    assert "and 4 more causes, in the report" in out.getvalue()
