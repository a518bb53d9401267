"""Each action strikes whom each selector names, on a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.broker.select import select
from harness.engine.run import run
from harness.events import Event, FaultInjected, FaultMissed
from harness.faults.registry import actions
from harness.scenario.load import load
from harness.verdict.data import Fate
from tests.integration.backends import require

GAP, GAP_S = 400, 1.5
"""From one step to the next, in messages and in seconds."""
HOLDING = {"worker": "holding deliveries", "publisher": "holding unconfirmed"}
STRIKES = [
    strike
    for role, holding in HOLDING.items()
    for strike in (
        (f"{role}: any", 1, f"{role}-"),
        (f"{role}: all", 2, f"{role}-"),
        (f"{role}: 1", 1, f"{role}-1"),
        (f"{role}: {role}-2", 1, f"{role}-2"),
        (f"{role}: {holding}", 1, f"{role}-"),
    )
] + [("broker: any", 1, "n1"), ("broker: all", 1, "n1")]
"""The target of a step, how many it strikes, and how their names begin."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))


def scenario(action: str, options: str, undone_by: str) -> str:
    """Every selector of an action, one after the other while messages flow."""
    steps = []
    for number, (target, _, _) in enumerate(STRIKES, start=1):
        # Who was ended must be back: on a busy machine that takes longer, and so does what only they can do.
        progress = "processed" if target.startswith("worker") else "published"
        when = f"at: {number * GAP_S:g}s" if undone_by else f"after: {{{progress}: {number * GAP}}}"
        steps.append(f"  - {when}\n    {action}: {{{target}{options}}}")
        if undone_by:
            steps.append(f"  - at: {(number + 0.4) * GAP_S:g}s\n    {undone_by}: {{{target}}}")
    return "\n".join(
        [
            f"name: {action} whomever",
            "publishers: {count: 2, duration: timeline, rate: 150, confirms: {window: 50}}",
            "workers: {count: 2, prefetch: 10, work: 6ms}",
            "timeline:",
            *steps,
        ]
    )


def must_have_struck(action: str, events: tuple[Event, ...]) -> None:
    struck = [event for event in events if isinstance(event, FaultInjected) and event.action == action]
    assert len(struck) == len(STRIKES)
    for event, (target, count, prefix) in zip(sorted(struck, key=lambda each: each.fault), STRIKES, strict=True):
        beginnings = {name.startswith(prefix) for name in event.targets}
        assert (target, len(event.targets), beginnings) == (target, count, {True})
        if "holding" in target:
            assert f"{event.targets[0]} held " in event.detail


@pytest.mark.native
@pytest.mark.parametrize(
    ("action", "options", "undone_by"),
    [
        ("kill", ", back_after: 100ms", ""),
        ("stop", ", back_after: 100ms", ""),
        ("restart", "", ""),
        ("pause", "", "resume"),
    ],
)
def test_an_action_strikes_whom_each_selector_names(action: str, options: str, undone_by: str, tmp_path: Path) -> None:
    require("native")
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario(action, options, undone_by))
    result = run(
        load(path, actions()),
        reports=tmp_path / "reports",
        seed=7,
        make_broker=lambda settings, book: (select("native", settings, book).broker, "test"),
    )
    events = result.histories["guarantee"].events
    assert [event.reason for event in events if isinstance(event, FaultMissed)] == []
    must_have_struck(action, events)
    if undone_by:
        must_have_struck(undone_by, events)
    (variant,) = result.verdict.variants
    assert variant.counts.fates[Fate.PROCESSED] == variant.counts.published > 0
