"""Which paths of settings speak of the same setting."""

from __future__ import annotations

import pytest

from harness.scenario.setting_paths import setting_path
from tests.unit.histories import scenario

MADE = scenario(
    queues={"tasks": {}, "my.queue": {}},
    exchanges={"ex": {}},
    workers=[{"name": "slow", "queue": "tasks"}, {"name": "fast", "queue": "my.queue"}],
    publishers=[{"name": "one", "messages": 1}, {"name": "two", "messages": 1}],
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("workers.acks", "workers.slow.acks"),
        ("workers.0.acks", "workers.slow.acks"),
        ("workers.1.acks", "workers.fast.acks"),
        ("workers", "workers.acks"),
        ("workers.slow", "workers.acks"),
        ("publishers.two.persistent", "publishers.persistent"),
        ("publishers.confirms.window", "publishers.confirms"),
        ("queues.tasks.durable", "queues.tasks"),
        ("queues", "queues.my.queue.durable"),
        ("queues.tasks.arguments.x-queue-type", "queues.tasks.type"),
        ("queues.tasks.arguments", "queues.tasks.max_length"),
        ("queues.tasks.arguments.x-dead-letter-routing-key", "queues.tasks.dead_letter.exchange"),
        ("queues.my.queue.arguments.x-expires", "queues.my.queue.expires"),
        ("exchanges.ex.type", "exchanges.ex"),
        ("timeline", "timeline.3"),
        ("settle", "settle"),
        ("broker.config", "broker.config.consumer_timeout"),
    ],
)
def test_paths_of_one_setting_meet(one: str, other: str) -> None:
    assert setting_path(one, MADE).meets(setting_path(other, MADE))
    assert setting_path(other, MADE).meets(setting_path(one, MADE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("workers.0.acks", "workers.1.acks"),
        ("workers.prefetch", "workers.acks"),
        ("workers.slow.acks", "workers.fast.acks"),
        ("publishers.persistent", "workers.acks"),
        ("publishers.one.persistent", "publishers.two.persistent"),
        ("queues.tasks.durable", "queues.my.queue.durable"),
        ("queues.tasks.arguments.x-max-length", "queues.tasks.message_ttl"),
        ("timeline.2.kill", "timeline.3"),
        ("settle", "time_limit"),
    ],
)
def test_paths_of_two_settings_do_not_meet(one: str, other: str) -> None:
    assert not setting_path(one, MADE).meets(setting_path(other, MADE))
    assert not setting_path(other, MADE).meets(setting_path(one, MADE))


def test_a_setting_comes_before_a_group_of_that_name() -> None:
    made = scenario(workers=[{"name": "acks"}, {"name": "other"}])
    assert setting_path("workers.acks", made).meets(setting_path("workers.other.acks", made))
    assert not setting_path("workers.acks", made).meets(setting_path("workers.other.prefetch", made))
