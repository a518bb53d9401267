"""Everything that can be wrong with a scenario that is well-formed: pure, and independent of the broker's version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

from harness.scenario.arguments import argument_mistakes
from harness.scenario.broker_config import config_mistakes
from harness.scenario.mistake import MOST_MISTAKES, Mistake, Pattern, enumerated, nearest, resting_on
from harness.scenario.quantities import format_duration
from harness.scenario.reach import unreachable
from harness.scenario.references import dangling
from harness.scenario.scenario import GUARANTEE, BrokerModel, Scenario

TRANSIENT_QUEUES: Final = "transient_nonexcl_queues"
"""The deprecated feature that non-durable queues are. RabbitMQ refuses them from 4.3 on unless it is permitted."""

_DEPRECATED_FEATURES: Final = (
    TRANSIENT_QUEUES,
    "amqp_address_v1",
    "amqp_filter_set_bug",
    "classic_queue_mirroring",
    "global_qos",
    "management_metrics_collection",
    "queue_master_locator",
    "ram_node_type",
)

Abilities = Callable[[BrokerModel], frozenset[str]]
"""Tells what can be done to the broker that a scenario asks for (names as in harness.broker.protocol.Ability)."""


def declared_abilities(broker: BrokerModel) -> frozenset[str]:
    """Tell what can be done to a broker by what the scenario says alone: to an external one, what it has commands for."""
    if broker.backend != "external":
        return frozenset({"restart", "kill", "pause", "control"})
    named = set(broker.commands)
    needed = {"restart": ({"restart"}, {"stop", "start"}), "kill": ({"kill"},), "pause": ({"pause", "resume"},)}
    return frozenset(ability for ability, ways in needed.items() if any(way <= named for way in ways))


def check(scenario: Scenario, abilities: Abilities = declared_abilities) -> tuple[Mistake, ...]:
    """Find every mistake of meaning, one more than MOST_MISTAKES at most, each at its path in the scenario's long form."""
    found = chain(
        dangling(scenario),
        config_mistakes(scenario.broker),
        resting_on(unreachable(scenario), *_TRAFFIC),
        resting_on(_broker(scenario, abilities(scenario.broker)), ("broker", ...)),
        resting_on(_queues(scenario), ("broker", ...)),
        _rest(scenario),
    )
    return tuple(islice(found, MOST_MISTAKES + 1))


_TRAFFIC: Final[tuple[Pattern, ...]] = (
    *((section, ...) for section in ("publishers", "workers", "queues", "exchanges", "bindings", "timeline")),
    ("time_limit",),
    ("backlog_first",),
)


def _broker(scenario: Scenario, able: frozenset[str]) -> Iterator[Mistake]:
    for index, name in enumerate(scenario.broker.permit):
        meant = nearest(name, _DEPRECATED_FEATURES)
        if meant is not None and meant != name:
            yield Mistake(("broker", "permit", index), f"unknown deprecated feature, did you mean {meant}?")
    for index, step in enumerate(scenario.timeline):
        if lacking := step.action.broker_abilities() - able:
            what = enumerated(sorted(lacking), "and")
            yield Mistake(
                ("timeline", index, step.action.name),
                f"this broker has no way to {what}; name the commands that do it under broker.commands"
                if "control" not in lacking
                else "this broker cannot be controlled (rabbitmqctl); run the scenario on another backend",
            )


def _queues(scenario: Scenario) -> Iterator[Mistake]:
    permitted = TRANSIENT_QUEUES in scenario.broker.permit
    permitted |= scenario.broker.config.get(f"deprecated_features.permit.{TRANSIENT_QUEUES}") is True
    for name, queue in scenario.queues.items():
        if not queue.durable and not permitted:
            yield Mistake(
                ("queues", name, "durable"),
                f"RabbitMQ refuses non-durable queues from 4.3 on; say `broker: {{permit: [{TRANSIENT_QUEUES}]}}`, "
                "which older ones take as well",
            )
    yield from argument_mistakes(scenario)


def _plain(name: str) -> str:
    """Return what tells names apart: each variant's files go to a folder named by its letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]


def _rest(scenario: Scenario) -> Iterator[Mistake]:
    drain = scenario.drain
    if drain.quiet > drain.timeout:
        quiet, timeout = format_duration(drain.quiet), format_duration(drain.timeout)
        message = f"is longer than the drain's timeout ({quiet} against {timeout})"
        yield Mistake(("drain", "quiet"), message, rests_on=(("drain", "timeout"),))
    seen = {_plain(GUARANTEE): GUARANTEE}
    for name in scenario.controls:
        other = seen.setdefault(_plain(name), name)
        if other is not name:
            what = "the scenario itself is called that" if other == GUARANTEE else f"{other} is called nearly that"
            yield Mistake(("controls", name), f"{what}; give the control another name", about_key=True)
