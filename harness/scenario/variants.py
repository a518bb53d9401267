"""The variants of a scenario: the guarantee itself, and what each control makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.scenario.base import with_nothing_set
from harness.scenario.check import Abilities, check
from harness.scenario.expectations import Expectations
from harness.scenario.mistake import Mistake, Path, Pattern, Remark, dotted
from harness.scenario.remarks import control_remarks, remarks
from harness.scenario.resolve import canonical, setting_text
from harness.scenario.scenario import GUARANTEE, Control, Scenario
from harness.scenario.settings import SettingError, with_setting
from harness.scenario.topology import QUEUE_TYPE
from harness.scenario.validate import validate


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the runs that a scenario asks for."""

    name: str
    """`guarantee`, or the control's name."""
    description: str
    scenario: Scenario
    """With the control's settings applied; its `expect` is the control's own, and it has no controls."""
    settings: dict[str, str]
    """What the control sets, path by path, as text; empty for the guarantee."""
    expect: Expectations
    """What must be seen: `scenario.expect`."""
    before: Scenario | None = None
    """The scenario without the control's settings; None for the guarantee."""

    def expectation_path(self, path: str) -> str:
        """Return an expectation's path in the file: `lost` is at `controls.transient messages.expect.lost`."""
        return f"expect.{path}" if self.name == GUARANTEE else f"controls.{self.name}.expect.{path}"


@dataclass(frozen=True, slots=True)
class Varied:
    """The variants that could be made, and what was wrong with the others."""

    variants: tuple[Variant, ...]
    mistakes: tuple[Mistake, ...]
    remarks: tuple[Remark, ...] = ()


def vary(scenario: Scenario, model: type[Scenario], abilities: Abilities) -> Varied:
    """Check a scenario, apply each of its controls, and check what comes of it."""
    own = check(scenario, abilities)
    variants = [Variant(GUARANTEE, scenario.description, scenario, {}, scenario.expect)]
    mistakes, found = list(own), list(remarks(scenario))
    plain = canonical(scenario.model_copy(update={"controls": {}, "expect": with_nothing_set(Expectations)}))
    known = {mistake.path for mistake in own}
    for name, control in scenario.controls.items():
        changed, wrong = _apply(plain, name, control, model)
        mistakes += wrong
        if changed is None:
            continue
        for mistake in check(changed, abilities):
            if mistake.path not in known:
                mistakes.append(_in_control(mistake, name, control))
        found += control_remarks(changed, name)
        settings = {path: setting_text(value) for path, value in control.set.items()}
        variants.append(Variant(name, control.description, changed, settings, control.expect, scenario))
    if mistakes:
        return Varied(tuple(variants), tuple(dict.fromkeys(mistakes)))
    return Varied(tuple(variants), (), tuple(dict.fromkeys(found)))


def _apply(
    plain: dict[str, Any], name: str, control: Control, model: type[Scenario]
) -> tuple[Scenario | None, tuple[Mistake, ...]]:
    changed, mistakes = plain, []
    for path, value in control.set.items():
        try:
            changed = with_setting(changed, path, value, model)
        except SettingError as error:
            section = path.split(".")[0]
            rests_on: tuple[Pattern, ...] = ((section,), (section, "*"), (section, "*", "name"))
            wrong = Mistake(("controls", name, "set", path), str(error), about_key=True, rests_on=rests_on)
            mistakes.append(wrong)
    validated = validate(changed, model)
    mistakes += (_in_control(mistake, name, control) for mistake in validated.mistakes)
    if validated.scenario is None or mistakes:
        return None, tuple(mistakes)
    if _meaning(validated.scenario) == _meaning(model.model_validate(plain)):
        what = "it sets what is so already" if len(control.set) == 1 else "all that it sets is so already"
        rests_on = tuple((path.split(".")[0], ...) for path in control.set)
        return None, (Mistake(("controls", name, "set"), f"takes nothing away: {what}", rests_on=rests_on),)
    return validated.scenario.model_copy(update={"expect": control.expect}), ()


def _meaning(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario in its long form, with what a queue's keys say as the arguments that mean the same."""
    queues = {
        name: (queue.durable, queue.rests, {QUEUE_TYPE: queue.type} | queue.arguments_of_keys() | queue.arguments)
        for name, queue in scenario.queues.items()
    }
    return canonical(scenario) | {"queues": queues}


def _in_control(mistake: Mistake, name: str, control: Control) -> Mistake:
    """Place a mistake that only the variant has: at the setting that brings it about, or at the expectation."""
    if mistake.path[:1] == ("expect",):
        return replace(mistake, path=("controls", name, *mistake.path))
    path, message = _cause(mistake.path, control), mistake.message
    at: Path = ("controls", name, "set")
    if path is None:
        message = f"makes {dotted(mistake.path)} wrong: {message}"
    else:
        at = (*at, path)
        same = path.split(".")[-1] == str(mistake.path[-1]) if mistake.path else False
        message = message if same else f"{dotted(mistake.path)}: {message}"
    return Mistake(at, message, rests_on=(*mistake.rests_on, (*mistake.path, ...)))


def _cause(path: Path, control: Control) -> str | None:
    """Find the setting whose path has most in common with the path of what went wrong."""
    wrong = [str(part) for part in path]

    def shared(setting: str) -> int:
        parts = setting.split(".")
        return sum(part in wrong for part in parts) if parts[0] == wrong[0] else 0

    likely = max(control.set, key=shared) if wrong else None
    return likely if likely is not None and shared(likely) else None
