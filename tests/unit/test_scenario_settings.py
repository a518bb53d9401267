"""Settings by path."""

from __future__ import annotations

from typing import Any

import pytest

from harness.faults.registry import actions
from harness.scenario.resolve import canonical
from harness.scenario.scenario import scenario_model
from harness.scenario.settings import SettingError, with_setting

MODEL = scenario_model(actions())
SCENARIO = canonical(
    MODEL.model_validate(
        {
            "name": "x",
            "queues": {"tasks": {}, "tasks.retry": {"dead_letter": "tasks"}},
            "publishers": {"messages": 5, "confirms": False},
            "workers": [{"name": "slow"}, {"name": "fast", "queue": "tasks.retry"}],
            "timeline": [{"at": 1, "kill": "slow-1"}, {"at": 2, "pause": {"worker": "any", "for": "1s"}}],
        }
    )
)


def at(scenario: Any, *path: str | int) -> Any:
    for part in path:
        scenario = scenario[part]
    return scenario


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [
        ("publishers.persistent", False, ("publishers", 0, "persistent")),
        ("publishers.0.count", 3, ("publishers", 0, "count")),
        ("publishers.confirms.window", 7, ("publishers", 0, "confirms", "window")),
        ("publishers.exchange", "orders", ("publishers", 0, "exchange")),
        ("workers.fast.prefetch", 1, ("workers", 1, "prefetch")),
        ("queues.tasks.durable", False, ("queues", "tasks", "durable")),
        ("queues.tasks.retry.max_length", 9, ("queues", "tasks.retry", "max_length")),
        ("queues.tasks.dead_letter.exchange", "amq.fanout", ("queues", "tasks", "dead_letter", "exchange")),
        ("queues.tasks.arguments.x-max-priority", 5, ("queues", "tasks", "arguments", "x-max-priority")),
        ("broker.config.disk_free_limit.absolute", "1GB", ("broker", "config", "disk_free_limit.absolute")),
        ("timeline.0.kill.back_after", "1s", ("timeline", 0, "kill", "back_after")),
        ("timeline.1", {"at": 3, "kill": "broker"}, ("timeline", 1)),
        ("timeline", [], ("timeline",)),
        ("drain.timeout", "5s", ("drain", "timeout")),
    ],
)
def test_a_setting_is_changed_where_its_path_says(setting: str, value: Any, path: tuple[str | int, ...]) -> None:
    before = canonical(MODEL.model_validate(SCENARIO))
    changed = with_setting(SCENARIO, setting, value, MODEL)
    assert at(changed, *path) == value
    assert before == SCENARIO, "the scenario itself must stay as it is"
    MODEL.model_validate(changed)


def test_a_setting_without_a_group_goes_for_every_group() -> None:
    changed = with_setting(SCENARIO, "workers.acks", "early", MODEL)
    assert [group["acks"] for group in changed["workers"]] == ["early", "early"]


def test_a_pause_is_set_by_the_word_of_the_file() -> None:
    changed = MODEL.model_validate(with_setting(SCENARIO, "timeline.1.pause.for", "3s", MODEL))
    assert changed.timeline[1].action.title() == "pause worker"
    assert canonical(changed)["timeline"][1]["pause"] != SCENARIO["timeline"][1]["pause"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("publisher.count", "there is no publisher here, did you mean publishers?"),
        ("queues.task.durable", "there is no task here, did you mean tasks?"),
        ("queues.new", "there is no new here; there are tasks and tasks.retry"),
        ("queues.tasks.durabel", "there is no durabel here, did you mean durable?"),
        ("queues.tasks.durable.really", "durable is a single value: there is no really in it"),
        ("publishers.cuont", "cuont is neither a setting nor the name of a group, did you mean count?"),
        ("workers.fats.prefetch", "fats is neither a setting nor the name of a group, did you mean fast?"),
        ("workers.2.prefetch", "there is no 2 here: there are 2 entries, counted from 0"),
        ("timeline.first.kill", "first is no number of an entry (they are counted from 0)"),
        ("timeline.0.kill.bak_after", "there is no bak_after here, did you mean back_after?"),
        ("expect.lost", "a control cannot set expectations; a control has its own `expect`"),
        ("seed", "a control cannot set the seed: a control differs from the guarantee by what it takes away alone"),
        ("", "there is no  here; there are"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_goes_wrong(setting: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        with_setting(SCENARIO, setting, 1, MODEL)
    assert str(caught.value).startswith(message)
