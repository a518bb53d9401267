"""Validate plain data as a scenario, finding as many mistakes at once as can be told apart.

What is wrong in form hides what is wrong in meaning. So each mistake found is repaired as it was probably meant, in a
copy (a draft), and the validation goes on from there; the scenario that comes of it serves to find further mistakes, never to run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from harness.scenario.draft import Draft
from harness.scenario.mistake import MOST_MISTAKES, Mistake, Path, Remark
from harness.scenario.scenario import Scenario
from harness.scenario.short_paths import spread
from harness.scenario.wording import mistakes

_ROUNDS: Final = 40
"""Each round repairs something in every place that is wrong; what is wrong in several ways, or too deep, takes more than one."""


@dataclass(frozen=True, slots=True)
class Validated:
    """A scenario, and what was wrong on the way to it; None if the mistakes leave none to speak of."""

    scenario: Scenario | None
    mistakes: tuple[Mistake, ...]
    """At paths of the file."""
    draft: Draft

    def in_file(self, remark: Remark) -> Remark:
        """Give a remark on the scenario the path that the file has."""
        return replace(remark, path=self.draft.in_file(remark.path))


def validate(data: Mapping[str, Any], model: type[Scenario], known: Collection[Path] = ()) -> Validated:
    """Validate `data`. `known` are paths of which a mistake is known already, so that none is told twice."""
    draft = Draft(data, known)
    found: dict[tuple[Path, bool], Mistake] = {}

    def tell(mistake: Mistake) -> None:
        written = draft.in_file(mistake.path)
        if written not in known:
            found.setdefault((written, mistake.about_key), replace(mistake, path=written))

    for mistake in spread(draft):
        tell(mistake)
    for _ in range(_ROUNDS):
        whole = draft.whole()
        try:
            return Validated(model.model_validate(whole), tuple(found.values()), draft)
        except ValidationError as error:
            present = [replace(each, path=draft.path(each.path)) for each in mistakes(error, model, whole)]
        for mistake in [each for each in present if not draft.may_come_of_a_guess(each)]:
            tell(mistake)
        repaired = [draft.repair(mistake) for mistake in present]
        if not any(repaired) or len(found) > MOST_MISTAKES:
            break
    return Validated(None, tuple(found.values()), draft)
