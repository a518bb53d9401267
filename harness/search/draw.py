"""Draw timelines by chance: which faults, whom they strike and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from harness.errors import UsageError
from harness.faults.base import Fault, FaultTargets
from harness.scenario.scenario import Scenario

EARLIEST, LATEST = 0.05, 0.8
"""When steps strike, as shares of all messages: not before there is any, nor when too few are left to see what came of it."""
LATEST_S: Final = 3.0
"""The same for publishers that go by time; seconds."""
ATTEMPTS: Final = 100

Step = dict[str, Any]
"""A step of a timeline as plain values."""


def draw_timeline(
    scenario: Scenario, faults: Mapping[str, type[Fault]], able: frozenset[str], random: Random, *, most_steps: int
) -> tuple[Step, ...]:
    """Draw one to `most_steps` steps for a scenario's traffic, in the order in which they should strike.

    `able` names what can be done to the broker. Raises UsageError where none of the faults can be drawn.
    """
    targets = targets_of(scenario)
    steps = [_draw_step(scenario, faults, able, targets, random) for _ in range(random.randint(1, most_steps))]
    return tuple(step for _, step in sorted(steps, key=lambda each: each[0]))


def targets_of(scenario: Scenario) -> FaultTargets:
    """Tell what there is to strike."""
    return FaultTargets(
        publishers=sum(group.count for group in scenario.publishers),
        workers=sum(group.count for group in scenario.workers),
        one_group=len(scenario.workers) == 1,
        nodes=scenario.broker.nodes,
    )


def _draw_step(
    scenario: Scenario, faults: Mapping[str, type[Fault]], able: frozenset[str], targets: FaultTargets, random: Random
) -> tuple[float, Step]:
    kinds: Sequence[str] = sorted(faults)
    for _ in range(ATTEMPTS):
        name = random.choice(kinds)
        drawn = faults[name].draw(targets, random)
        if drawn is not None and faults[name].model_validate(drawn).broker_abilities() <= able:
            share = random.uniform(EARLIEST, LATEST)
            return share, {**_trigger(scenario, share, random), name: drawn}
    raise UsageError(f"{scenario.name}: no fault can be drawn for it: there is nobody to strike that can be struck")


def _trigger(scenario: Scenario, share: float, random: Random) -> Step:
    total = scenario.expected_messages
    if total is None:
        return {"at": f"{round(share * LATEST_S * 1000)}ms"}
    counters = ["published", *(["processed"] if scenario.workers and not scenario.backlog_first else [])]
    if all(group.window is not None for group in scenario.publishers):
        counters.append("confirmed")
    return {"after": {random.choice(counters): max(1, round(share * total))}}
