"""The causes that a verdict tells of the losses of a story."""

from __future__ import annotations

from harness.checks.judge import judge
from harness.scenario.scenario import Scenario
from harness.verdict.data import Place
from tests.unit.histories import MS, Story, scenario

Found = tuple[Place, str, int | None, str]
"""Place, actor, fault and setting."""


def causes(story: Story, of: Scenario | None = None) -> dict[Found, int]:
    """Return how many copies were lost by each cause."""
    found = judge(story.history(), of or scenario(), name="x")
    return {(cause.place, cause.actor, cause.fault, cause.setting): cause.count for cause in found.causes}


def cause(story: Story, of: Scenario | None = None) -> Found:
    """Return the only cause."""
    (found,) = causes(story, of)
    return found


def then(story: Story, at_ns: int) -> Story:
    """What follows happens at a moment."""
    story.now = at_ns - MS
    return story
