"""Names the group of publishers or workers whose setting would have kept a copy, where other groups have the setting already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from harness.checks.rules.remedies import Remedy
from harness.scenario.routing import publishers_of, workers_of
from harness.scenario.scenario import Scenario

IN_FORCE: Final[Mapping[tuple[str, str], Callable[[Any], bool]]] = {
    ("publishers", "confirms"): lambda group: bool(group.confirms),
    ("publishers", "persistent"): lambda group: group.persistent,
    ("publishers", "mandatory"): lambda group: group.mandatory,
    ("workers", "acks"): lambda group: group.acks == "manual",
}
"""By section and setting, whether a group has what a remedy asks for."""


def of_groups(remedy: Remedy, scenario: Scenario, *, publisher: str, worker: str) -> Remedy:
    """Name the groups of a publisher and a worker (empty: not known) in a remedy, by the settings that others have already."""
    groups = {
        "publishers": (publishers_of(publisher, scenario), scenario.publishers),
        "workers": (workers_of(worker, scenario), scenario.workers),
    }
    renamed: dict[str, str] = {}
    for (section, setting), has in IN_FORCE.items():
        mine, every = groups[section]
        if mine is not None and not has(mine) and any(map(has, every)):
            renamed[f"{section}.{setting}"] = f"{section}.{mine.name}.{setting}"
    text = remedy.text
    for path in {path for way in remedy.ways for path in way} & renamed.keys():
        text = text.replace(path, renamed[path])
    ways = tuple(tuple(renamed.get(path, path) for path in way) for way in remedy.ways)
    return replace(remedy, text=text, ways=ways)
