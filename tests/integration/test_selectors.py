"""Each action strikes whom each selector names, on a real broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.broker.making import MakeBroker
from harness.engine.run import run
from harness.events import Event, FaultInjected, FaultMissed
from harness.faults.registry import actions
from harness.scenario.load import load
from harness.verdict.data import Fate

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


BACK = ", back_after: 100ms"
OPTIONS = {"kill": BACK, "stop": BACK, "restart": "", "pause": ""}
"""What each action is given besides its target."""


def in_turn(names: Sequence[str]) -> list[str]:
    """The action of each strike."""
    return [names[number % len(names)] for number in range(len(STRIKES))]


def scenario(names: Sequence[str], undone_by: str) -> str:
    """Every selector, one after the other while messages flow, of the actions in turn."""
    steps = []
    for number, ((target, _, _), action) in enumerate(zip(STRIKES, in_turn(names), strict=True), start=1):
        # Who was ended must be back: on a busy machine that takes longer, and so does what only they can do.
        progress = "processed" if target.startswith("worker") else "published"
        when = f"at: {number * GAP_S:g}s" if undone_by else f"after: {{{progress}: {number * GAP}}}"
        steps.append(f"  - {when}\n    {action}: {{{target}{OPTIONS[action]}}}")
        if undone_by:
            steps.append(f"  - at: {(number + 0.4) * GAP_S:g}s\n    {undone_by}: {{{target}}}")
    return "\n".join(
        [
            f"name: {' and '.join(names)} whomever",
            "publishers: {count: 2, duration: timeline, rate: 150, confirms: {window: 50}}",
            "workers: {count: 2, prefetch: 10, work: 6ms}",
            "timeline:",
            *steps,
        ]
    )


def must_have_struck(names: Sequence[str], events: tuple[Event, ...]) -> None:
    struck = [event for event in events if isinstance(event, FaultInjected) and event.action in names]
    struck.sort(key=lambda each: each.fault)
    assert [event.action for event in struck] == in_turn(names)
    for event, (target, count, prefix) in zip(struck, STRIKES, strict=True):
        beginnings = {name.startswith(prefix) for name in event.targets}
        assert (target, len(event.targets), beginnings) == (target, count, {True})
        if "holding" in target:
            assert f"{event.targets[0]} held " in event.detail


@pytest.mark.native
@pytest.mark.parametrize(
    ("names", "undone_by"),
    [
        pytest.param(["kill", "stop", "restart"], "", id="in turn"),
        *(pytest.param([name], "", marks=pytest.mark.slow, id=name) for name in ("kill", "stop", "restart")),
        pytest.param(["pause"], "resume", marks=pytest.mark.slow, id="pause"),
    ],
)
@pytest.mark.parametrize("backend", ["native"])
def test_an_action_strikes_whom_each_selector_names(
    names: list[str], undone_by: str, backend: str, lend: Callable[[str], MakeBroker], tmp_path: Path
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario(names, undone_by))
    result = run(load(path, actions()), reports=tmp_path / "reports", seed=7, make_broker=lend(backend))
    events = result.histories["guarantee"].events
    assert [event.reason for event in events if isinstance(event, FaultMissed)] == []
    must_have_struck(names, events)
    if undone_by:
        must_have_struck([undone_by], events)
    (variant,) = result.verdict.variants
    assert variant.counts.fates[Fate.PROCESSED] == variant.counts.published > 0
