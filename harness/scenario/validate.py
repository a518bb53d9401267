"""Validate plain data as a scenario, finding as many mistakes at once as can be told apart.

What is wrong in form hides what is wrong in meaning. So each mistake found is repaired as it was probably meant, in a
copy, and the validation goes on from there; the scenario that comes of it serves to find further mistakes, never to run.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from harness.scenario.mistake import Mistake, Path, Remark
from harness.scenario.scenario import Scenario
from harness.scenario.wording import mistakes

_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Validated:
    """A scenario, and what was wrong on the way to it; None if the mistakes leave none to speak of."""

    scenario: Scenario | None
    mistakes: tuple[Mistake, ...]
    renamed: dict[Path, str] = field(default_factory=dict)
    """The key in the file, for each key that stands for one misspelt."""

    def in_file(self, remark: Remark) -> Remark:
        """Give a remark the path that the file has."""
        path = tuple(self.renamed.get(remark.path[: end + 1], part) for end, part in enumerate(remark.path))
        return replace(remark, path=path)


def validate(data: Mapping[str, Any], model: type[Scenario], known: Collection[Path] = ()) -> Validated:
    """Validate `data`. `known` are paths of which a mistake is known already, so that none is told twice."""
    working: dict[str, Any] = copy.deepcopy(dict(data))
    found: dict[Path, Mistake] = {}
    removed: set[Path] = set(known)
    renamed: dict[Path, str] = {}
    for _ in range(_ROUNDS):
        try:
            return Validated(model.model_validate(working), tuple(found.values()), renamed)
        except ValidationError as error:
            present = list(mistakes(error, model, working))
        progress = False
        for mistake in present:
            if any(path[: len(mistake.path)] == mistake.path for path in removed):
                continue  # A consequence of a removal, not a mistake of the file.
            if mistake.path not in known:
                found.setdefault(mistake.path, mistake)
            progress |= _repair(working, mistake, removed, renamed)
        if not progress:
            break
    return Validated(None, tuple(found.values()), renamed)


def _repair(data: Any, mistake: Mistake, removed: set[Path], renamed: dict[Path, str]) -> bool:
    """Change `data` to what was probably meant, or take the wrong part out; False where neither makes sense."""
    *parents, last = mistake.path or ("",)
    here = data
    for part in parents:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            return False
    if not isinstance(here, dict) or last not in here:
        return False
    if mistake.about_key:
        value = here.pop(last)
        if mistake.meant is not None and mistake.meant not in here:
            here[mistake.meant] = value
            renamed[(*parents, mistake.meant)] = str(last)
        return True
    if mistake.meant is not None:
        here[last] = {"true": True, "false": False}.get(mistake.meant, mistake.meant)
        return True
    if not parents or isinstance(here[last], dict | list):
        return False
    del here[last]
    removed.add(mistake.path)
    return True
