"""Settings by path, as a control's `set` writes them: `publishers.persistent`, `workers.slow.prefetch`, `timeline`.

A path goes from the top of the scenario to the setting, over what the scenario says or leaves to its defaults.
Behind `publishers` and `workers` stands the name of a group, its number from 0, or at once the setting, which
then goes for every group. Names that hold dots are found as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from harness.scenario.grammar import Alternative, below, keys
from harness.scenario.mistake import did_you_mean
from harness.scenario.scenario import Scenario

NOT_SETTABLE: Final = {
    "name": "the scenario's name",
    "description": "the description; a control has its own",
    "expect": "expectations; a control has its own `expect`",
    "controls": "controls",
    "seed": "the seed: a control differs from the guarantee by what it takes away alone",
}
"""What a control cannot set, and what to say of it."""


class SettingError(ValueError):
    """A path leads nowhere; the message says where it goes wrong."""


def with_setting(scenario: dict[str, Any], path: str, value: Any, model: type[Scenario]) -> dict[str, Any]:
    """Return a scenario in its long form with one setting changed; raises SettingError."""
    parts = path.split(".")
    if (what := NOT_SETTABLE.get(parts[0])) is not None:
        raise SettingError(f"a control cannot set {what}")
    changed = copy.deepcopy(scenario)
    _set(changed, parts, value, (Alternative(model),))
    return changed


def _set(here: Any, parts: list[str], value: Any, options: tuple[Alternative, ...]) -> None:
    if isinstance(here, list):
        _set_in_list(here, parts, value, options)
        return
    possible = keys(options)
    known = (*here, *(key for key in possible if key not in here))
    key = _longest(parts, known)
    if key is None:
        if possible or not _holds_values(options):
            raise SettingError(f"there is no {parts[0]} here{did_you_mean(parts[0], known)}")
        key = ".".join(parts)  # A further key of the user's own, such as one of rabbitmq.conf.
    rest = parts[key.count(".") + 1 :]
    deeper = tuple(option for each in options for option in below(each, key))
    if not rest:
        here[key] = value
        return
    if not isinstance(here.get(key), dict | list):
        if not any(below(option, rest[0]) for option in deeper):
            raise SettingError(f"{key} is a single value: there is no {'.'.join(rest)} in it")
        here[key] = {}
    _set(here[key], rest, value, deeper)


def _set_in_list(here: list[Any], parts: list[str], value: Any, options: tuple[Alternative, ...]) -> None:
    first, rest = parts[0], parts[1:]
    if first.isdecimal():
        if int(first) >= len(here):
            entries = "is 1 entry" if len(here) == 1 else f"are {len(here)} entries"
            raise SettingError(f"there is no {first} here: there {entries}, counted from 0")
        deeper = tuple(option for each in options for option in below(each, int(first)))
        _set_entry(here, int(first), rest, value, deeper)
        return
    groups = tuple(option for each in options if each.one_or_many for option in below(each, 0))
    fields = keys(groups)
    if first in fields:
        for group in here:
            _set(group, parts, value, groups)
        return
    names = [str(group["name"]) for group in here if "name" in group]
    if (name := _longest(parts, names)) is None:
        raise SettingError(_no_entry(first, fields, names))
    _set_entry(here, names.index(name), parts[name.count(".") + 1 :], value, groups)


def _set_entry(here: list[Any], index: int, rest: list[str], value: Any, options: tuple[Alternative, ...]) -> None:
    if not rest:
        here[index] = value
    elif isinstance(here[index], dict | list):
        _set(here[index], rest, value, options)
    else:
        raise SettingError(f"entry {index} is a single value: there is no {'.'.join(rest)} in it")


def _no_entry(word: str, fields: Sequence[str], names: Sequence[str]) -> str:
    if not fields:
        return f"{word} is no number of an entry (they are counted from 0)"
    hint = did_you_mean(word, (*fields, *names))
    return f"{word} is neither a setting nor the name of a group{hint}" if names else f"there is no {word}{hint}"


def _longest(parts: list[str], known: Sequence[str]) -> str | None:
    """Find the name that the path begins with; the longest one, for names may hold dots."""
    names = set(known)
    return next((name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in names), None)


def _holds_values(options: tuple[Alternative, ...]) -> bool:
    """Whether further keys of the user's own may stand here, each with a plain value."""
    inner = tuple(option for each in options for option in below(each, "any"))
    return bool(inner) and all(option.model is None for option in inner)
