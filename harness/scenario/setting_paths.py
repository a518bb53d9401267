"""Whether two paths of settings speak of the same setting, however they name it.

`workers.acks` speaks of every group, `workers.0.acks` and `workers.slow.acks` of one; `queues.tasks.arguments.x-max-length` is
`queues.tasks.max_length`; and who sets `queues.tasks` sets all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.scenario.base import Model
from harness.scenario.grammar import fields
from harness.scenario.scenario import Scenario
from harness.scenario.topology import key_of_argument
from harness.scenario.traffic import Publishers, Workers


@dataclass(frozen=True, slots=True)
class SettingPath:
    """A setting: of a section, and where that has members, of one or of all of them."""

    section: str
    """`publishers`, `queues`, `settle`, …"""
    member: str | None
    """The name of a group, queue or exchange, or the number of a step; None for all of them, and where a section has none."""
    setting: tuple[str, ...]
    """What is set of it; empty for all of it."""

    def meets(self, other: SettingPath) -> bool:
        """Whether one of the two is the other, or a part of it."""
        same = self.section == other.section and (self.member == other.member or None in (self.member, other.member))
        return same and all(one == two for one, two in zip(self.setting, other.setting, strict=False))


class SettingPaths:
    """Several settings of a scenario, such as those that a control takes away."""

    def __init__(self, paths: Iterable[str], scenario: Scenario) -> None:
        """`paths` as in a control's `set`; `scenario` is what it makes."""
        self._scenario = scenario
        self._paths = tuple(setting_path(path, scenario) for path in paths)

    def have(self, path: str, groups: Mapping[str, str | None] | None = None) -> bool:
        """Whether a setting is among them.

        `groups` names the group that is meant, by section, where a path leaves it open; for all groups of a section if not given.
        """
        wanted = setting_path(path, self._scenario)
        if wanted.member is None and groups is not None:
            wanted = replace(wanted, member=groups.get(wanted.section))
        return any(wanted.meets(own) for own in self._paths)

    def have_all_of_one(self, ways: Iterable[Sequence[str]], groups: Mapping[str, str | None] | None = None) -> bool:
        """Whether all settings of one of several ways are among them."""
        return any(all(self.have(path, groups) for path in way) for way in ways)


def setting_path(path: str, scenario: Scenario) -> SettingPath:
    """Read a path as a control's `set` writes it; names that hold dots are found as they are."""
    section, *parts = path.split(".")
    match section:
        case "publishers":
            return _of_group(section, parts, [group.name for group in scenario.publishers], Publishers)
        case "workers":
            return _of_group(section, parts, [group.name for group in scenario.workers], Workers)
        case "queues":
            name, rest = _member(parts, scenario.queues)
            return SettingPath(section, name, _of_queue(rest))
        case "exchanges":
            name, rest = _member(parts, scenario.exchanges)
            return SettingPath(section, name, tuple(rest))
        case "timeline" | "bindings" if parts:
            return SettingPath(section, parts[0], tuple(parts[1:]))
        case _:
            return SettingPath(section, None, tuple(parts))


def _of_group(section: str, parts: Sequence[str], names: Sequence[str], model: type[Model]) -> SettingPath:
    """Read what stands after `publishers` or `workers`: a setting, which then goes for every group, a number, or a name."""
    if parts and parts[0] in fields(model):
        return SettingPath(section, None, tuple(parts))
    if parts and parts[0].isdecimal() and int(parts[0]) < len(names):
        return SettingPath(section, names[int(parts[0])], tuple(parts[1:]))
    name, rest = _member(parts, names)
    return SettingPath(section, name, tuple(rest))


def _member(parts: Sequence[str], names: Iterable[str]) -> tuple[str | None, list[str]]:
    """Find the name that a path begins with; the longest one, for names may hold dots."""
    known = set(names)
    for end in range(len(parts), 0, -1):
        if (name := ".".join(parts[:end])) in known:
            return name, list(parts[end:])
    return None, list(parts)


def _of_queue(parts: Sequence[str]) -> tuple[str, ...]:
    """Return a setting of a queue by its key, where an argument has one; all arguments are as good as the whole queue."""
    match parts:
        case ["arguments"]:
            return ()
        case ["arguments", argument]:
            return (key_of_argument(argument),)
        case _:
            return tuple(parts[:1])
