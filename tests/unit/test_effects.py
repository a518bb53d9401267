"""What a fault declares, how it comes back from a file, and what is made of a fault that declares nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checks.judge import judge
from harness.effects import HARMLESS, UNDECLARED, AtRisk, Becomes, Cuts, Effects, Takes
from harness.events import FaultHealed, FaultInjected, ProcessStarted
from harness.history.events_io import EVENTS_FILE, from_line, read_events, to_line
from harness.history.upgrade_v1 import Upgrade
from harness.verdict.data import LossCause, Outcome, Place, VariantVerdict
from tests.unit.histories import Story, V, a_fault, scenario

ACTIONS = ("kill", "stop", "restart", "pause", "resume")
OTHERS = ("close", "scale", "declare", "publish", "purge")
CASES = [(action, node) for action in ACTIONS for node in (True, False)] + [(action, False) for action in OTHERS]


def injected(action: str, *, on_node: bool) -> FaultInjected:
    target = "n1" if on_node else "worker-2" if action in ACTIONS else "tasks"
    made = a_fault(action, target, on_node=on_node)
    assert made is not None
    return FaultInjected(
        at_ns=2,
        variant=V,
        fault=0,
        action=action,
        title=f"{action} {target}",
        family=made.struck_family(),
        colour=made.colour,
        targets=(target,),
        struck_at_ns=3,
        healable=True,
        effects=made.effects(),
        noun=made.noun((target,)),
    )


@pytest.mark.parametrize(
    ("action", "on_node", "effects"),
    [
        ("kill", True, (Cuts.EVERYONE, AtRisk.UNDONE, Takes.NOT_DURABLE, Becomes.KILLED)),
        ("restart", True, (Cuts.EVERYONE, AtRisk.UNDONE, Takes.NOT_DURABLE, Becomes.STOPPED)),
        ("pause", True, (Cuts.EVERYONE, AtRisk.UNDONE, Takes.NOTHING, Becomes.FROZEN)),
        ("resume", True, (Cuts.NOBODY, AtRisk.NOTHING, Takes.NOTHING, Becomes.THAWED)),
        ("kill", False, (Cuts.TARGETS, AtRisk.HELD, Takes.NOTHING, Becomes.UNCHANGED)),
        ("stop", False, (Cuts.TARGETS, AtRisk.HELD, Takes.NOTHING, Becomes.UNCHANGED)),
        ("purge", False, (Cuts.NOBODY, AtRisk.WAITING, Takes.WAITING, Becomes.UNCHANGED)),
        ("close", False, (Cuts.EVERYONE, AtRisk.ON_CUT_CONNECTIONS, Takes.NOTHING, Becomes.UNCHANGED)),
    ],
)
def test_what_a_fault_may_do_is_declared_by_the_fault(
    action: str, on_node: bool, effects: tuple[Cuts, AtRisk, Takes, Becomes]
) -> None:
    found = injected(action, on_node=on_node).effects
    assert (found.cuts, found.at_risk, found.takes, found.node) == effects


@pytest.mark.parametrize("action", ["declare", "publish"])
def test_what_adds_or_asks_harms_nothing(action: str) -> None:
    assert injected(action, on_node=False).effects == HARMLESS


def test_a_fault_of_a_new_kind_comes_back_from_a_file_with_its_effects() -> None:
    effects = Effects(cuts=Cuts.TARGETS, cuts_until_healed=True, at_risk=AtRisk.UNDONE)
    event = replace(injected("close", on_node=False), action="partition", family="network", effects=effects)
    assert from_line(to_line(event)) == event


@pytest.mark.parametrize(("action", "on_node"), CASES)
def test_a_fault_of_version_1_gets_the_effects_that_it_declares_today(
    action: str, on_node: bool, tmp_path: Path
) -> None:
    event = injected(action, on_node=on_node)
    data = json.loads(to_line(event))
    del data["effects"], data["noun"]
    if action == "restart":
        data["family"] = "broker"  # of version 1 it was, whatever it struck
    started = ProcessStarted(at_ns=1, variant=V, role="worker", actor="worker-2", incarnation=1, pid=1)
    (tmp_path / EVENTS_FILE).write_text(f"{to_line(started)}\n{json.dumps(data)}\n")
    assert list(read_events(tmp_path / EVENTS_FILE)) == [started, event]


def test_a_fault_of_version_1_that_another_package_brought_may_have_done_anything() -> None:
    data = json.loads(to_line(replace(injected("close", on_node=False), action="disk_alarm", family="broker")))
    del data["effects"], data["noun"]
    found = from_line(json.dumps(data), Upgrade())
    assert isinstance(found, FaultInjected)
    assert found.effects == UNDECLARED
    assert found.noun == ("disk_alarm", "disk_alarms")


# A fault that another package brings.


def struck(story: Story, effects: Effects, *targets: str) -> None:
    at, until = story.tick(), story.tick()
    event = replace(
        injected("close", on_node=False), at_ns=at, struck_at_ns=until, action="partition", title="partition", family="network",
        targets=targets, effects=effects, noun=("partition", "partitions"),
    )  # fmt: skip
    story.events += [event, FaultHealed(at_ns=story.tick(), variant=V, fault=0, action="partition")]


def verdict(story: Story, **changes: Any) -> VariantVerdict:
    return judge(story.history(), scenario(**changes), name="guarantee")


def the_cause(found: VariantVerdict) -> LossCause:
    (cause,) = found.causes
    return cause


def test_what_is_lost_beside_a_fault_that_declares_nothing_may_be_its_doing() -> None:
    story = Story()
    story.sent(0)
    struck(story, UNDECLARED, "tasks")
    story.drained()
    found = verdict(story)
    assert found.outcome is Outcome.VIOLATED
    cause = the_cause(found)
    assert (cause.place, cause.fault) == (Place.BROKER, 0)
    assert cause.sentence.endswith("It declares no effects, so it may have taken anything.")
    assert "broke its promise" not in found.causes[0].sentence
    (note,) = found.notes
    assert note == (
        "step 1 (partition) declares no effects: it may have cut every connection and taken any message, and is judged so"
    )


def test_a_fault_that_may_take_what_was_lost_comes_before_one_that_declares_nothing() -> None:
    story = Story()
    story.confirm(story.publish(0, persistent=False))
    struck(story, UNDECLARED, "tasks")
    story.restart_broker(fault=1)
    story.drained()
    cause = the_cause(verdict(story))
    assert (cause.fault, cause.setting) == (1, "publishers.persistent: true")


def test_a_fault_that_takes_nothing_is_not_blamed_for_a_loss() -> None:
    story = Story()
    story.sent(0)
    struck(story, Effects(cuts=Cuts.TARGETS, cuts_until_healed=True), "worker-1")
    story.drained()
    found = verdict(story)
    assert (the_cause(found).place, found.notes) == (Place.UNKNOWN, ())


@pytest.mark.parametrize(("targets", "fault"), [(("publisher-1",), 0), (("worker-1",), None)])
def test_a_connection_that_a_new_fault_may_cut_is_joined_to_it(targets: tuple[str, ...], fault: int | None) -> None:
    story = Story()
    story.publish(0, confirms=False)
    struck(story, Effects(cuts=Cuts.TARGETS), *targets)
    story.lose_connection("publisher")
    story.drained()
    cause = the_cause(verdict(story, publishers={"messages": 1, "confirms": False}))
    assert (cause.place, cause.fault) == (Place.PUBLISHER, fault)


def test_the_sentence_uses_the_words_of_the_fault() -> None:
    story = Story()
    story.process(0)
    struck(story, HARMLESS, "tasks")
    assert "across 1 partition" in verdict(story).headline
