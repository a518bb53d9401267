"""A scenario made of another one by changing settings: a text of its own, which is read like any other file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import Problem, ScenarioError
from harness.scenario.check import Abilities, declared_abilities
from harness.scenario.load import SUFFIXES, Loaded, load_text
from harness.scenario.mistake import Mistake, dotted
from harness.scenario.resolve import canonical, to_yaml
from harness.scenario.scenario import Scenario, scenario_model
from harness.scenario.settings import SettingError, with_setting
from harness.scenario.timeline import Action
from harness.scenario.validate import validate

LONGEST_NAME: Final = 120
_LONGEST_PART: Final = 60
"""Of a file's name."""
_HEADING: Final = "# Made of {source}; what is not said here is left to its default.\n"


def with_settings(
    scenario: Scenario, settings: Mapping[str, Any], *, origin: str, actions: Mapping[str, type[Action]]
) -> dict[str, Any]:
    """Return a scenario in its long form with settings changed, path by path as in a control's `set`.

    Raises ScenarioError with every mistake, placed at `origin`.
    """
    data, problems, model = canonical(scenario), [], scenario_model(actions)
    for path, value in settings.items():
        try:
            data = with_setting(data, path, value, model)
        except SettingError as error:
            problems.append(Problem(origin, 0, 0, path, str(error)))
    if problems:
        raise ScenarioError(problems)
    return data


def derive(
    data: dict[str, Any],
    path: Path,
    *,
    source: Path,
    origin: str,
    actions: Mapping[str, type[Action]],
    abilities: Abilities = declared_abilities,
) -> Loaded:
    """Make a scenario of plain values, to be written to `path`; only what differs from the defaults stands in its text.

    Raises ScenarioError with every mistake, placed at `origin`: what brought it about is not in a file.
    """
    found = validate(data, scenario_model(actions))
    if found.scenario is None or found.mistakes:
        raise ScenarioError([_problem(mistake, origin) for mistake in found.mistakes])
    plain = found.scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = _HEADING.format(source=source) + to_yaml(plain)
    try:
        return load_text(text, path, actions, abilities)
    except ScenarioError as error:
        raise ScenarioError([replace(each, file=origin, line=0, column=0) for each in error.problems]) from error


def named(name: str, parts: Sequence[str]) -> str:
    """Name what was made of a scenario by what tells it apart: `worker kill, type=quorum, prefetch=1`."""
    return _cut(", ".join((name, *parts)), LONGEST_NAME)


def file_name(source: Path, number: int, parts: Sequence[str]) -> str:
    """Name the file of what was made of another one: the source, a number that tells it from all others, and what was changed."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts)).strip("-.")
    return f"{source.stem[:_LONGEST_PART]}-{number:03}-{words[:_LONGEST_PART].rstrip('-.')}{SUFFIXES[0]}"


def short(settings: Mapping[str, str]) -> list[str]:
    """Write settings, given as text, with no more of their paths than tells them apart."""
    written: list[str] = []
    for path, value in settings.items():
        parts = path.split(".")
        ends = [".".join(parts[start:]) for start in reversed(range(len(parts)))]
        own = next(
            (end for end in ends if not any(f".{other}".endswith(f".{end}") for other in settings if other != path)),
            path,
        )
        written.append(f"{own}={value}")
    return written


def _cut(text: str, most: int) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def _problem(mistake: Mistake, origin: str) -> Problem:
    return Problem(origin, 0, 0, dotted(mistake.path), mistake.message)
