"""What a verdict says of the lies that were told: found, missed, blamed on something else; and what it says of messages that nobody lied about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.checks.rules.endings import LAG_NS
from harness.checks.rules.remedies import BROKEN_PROMISE
from harness.lies.kinds.base import AsIf, Find
from harness.lies.registry import lies
from harness.lies.scene import Place, Scene
from harness.lies.told import Told
from harness.verdict.data import Counts, Fate, VariantVerdict

NOBODY: Final = "nobody#0"
"""How a verdict calls a message without a publisher."""
UNNAMED: Final = ""
"""For what a verdict counts, and does not name by message."""
UNDER_WAY_NS: Final = LAG_NS
"""How long the judge allows what was sent to be under way."""


class Became(StrEnum):
    """What a verdict makes of a lie."""

    FOUND = "found"
    EXPLAINED = "explained"
    """The broker lied while a fault struck, and the verdict takes it for what an honest broker does then."""
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Strike:
    """When the fault beside struck, and whom."""

    begin_ns: int
    over_ns: int
    actors: frozenset[str] | None
    """The actors whose connections it cuts; None for all of them."""

    def reaches(self, told: Told) -> bool:
        """Whether something of a message that was lied about may have been under way when it struck."""
        near = self.begin_ns - UNDER_WAY_NS <= told.at_ns <= self.over_ns + UNDER_WAY_NS
        return near and (self.actors is None or told.actor in self.actors)


@dataclass(frozen=True, slots=True)
class Finding:
    """One lie, and what the verdict says of its message."""

    lie: str
    message: str
    """`publisher#seq`; NOBODY for one without an identity."""
    queue: str
    """The queue whose copy it concerns; empty for the message in all of its queues."""
    became: Became
    blamed: str
    """What is said to have done it instead: the fault beside it; empty for nothing."""
    said: tuple[str, ...]

    def __str__(self) -> str:
        """Name the message, and what is said of it."""
        where = f" in {self.queue}" if self.queue else ""
        blamed = f", blamed on {self.blamed}" if self.blamed else ""
        return f"{self.message}{where} ({', '.join(self.said) or 'nothing said'}{blamed})"


@dataclass(frozen=True, slots=True)
class Findings:
    """All lies of a run, and what the verdict says beyond them."""

    lies: tuple[Finding, ...]
    invented: tuple[str, ...]
    """What it says of messages that nobody lied about, or that no lie about them explains."""


_WITHOUT_EFFECT: Final = frozenset({Find.RECOVERED, *AsIf})
"""What an honest broker may leave as well."""


@dataclass(frozen=True, slots=True)
class _Said:
    message: str
    find: str
    queue: str = ""
    fault: str = ""


def compare(told: Sequence[Told], verdict: VariantVerdict, scene: Scene, strike: Strike | None = None) -> Findings:
    """Hold a verdict against what was told in a run of a scene, beside a fault or none."""
    left = list(_said(verdict))
    victims = {_name(each, scene) for each in told}
    by_message: dict[str, list[_Said]] = {}
    for one in left:
        by_message.setdefault(one.message, []).append(one)
    findings = []
    # What is only counted goes to the lies that were told apart from the strike first: of the others some left no trace.
    for each in sorted(told, key=lambda one: strike is not None and strike.reaches(one)):
        place, message = scene.places[each.publisher - 1] if each.publisher else None, _name(each, scene)
        lie, mine = lies()[each.lie], by_message.get(message, []) if place else []
        became = Became.FOUND
        if not (
            all(_named(find, each, mine, place) or _take_one(find, left, place) for find in lie.finds)
            or any(_named(find, each, mine, place) for find in lie.or_find)
        ):
            honest = lie.as_if is not None and strike is not None and strike.reaches(each)
            # Where more are missing than were purged, it is said how many are lost; which ones is a guess.
            another = _take_another(left, place, victims) if honest and place and lie.as_if is AsIf.REMOVED else []
            if another:
                mine = another
            else:
                became = Became.EXPLAINED if honest and _take_one(str(lie.as_if), left, place) else Became.MISSED
        left = [one for one in left if one not in mine or one.find not in lie.finds | lie.or_find | lie.may_find]
        findings.append(
            Finding(
                each.lie,
                message,
                each.queue,
                became,
                blamed=", ".join(dict.fromkeys(one.fault for one in mine if one.fault)),
                said=tuple(dict.fromkeys(one.find for one in mine)),
            )
        )
    return Findings(tuple(findings), tuple(_in_words(one) for one in left if one.find not in _WITHOUT_EFFECT))


def _name(told: Told, scene: Scene) -> str:
    return f"{scene.places[told.publisher - 1].publisher}#{told.seq}" if told.publisher else NOBODY


def _said(verdict: VariantVerdict) -> Iterator[_Said]:
    """List what a verdict says of messages: one by one, or once for each that it only counts."""
    titles = {fault.fault: fault.title for fault in verdict.faults}
    for lost in verdict.lost:
        excused = lost.fault is not None and lost.setting != BROKEN_PROMISE.text
        fault = titles[lost.fault] if excused and lost.fault is not None else ""
        yield _Said(str(lost.message), Find.LOST, lost.queue, fault)
    for anomaly in verdict.anomalies:
        yield _Said(str(anomaly.message), anomaly.kind)
    counts = verdict.counts
    counted: dict[str, int] = {
        Find.RECOVERED: counts.fates.get(Fate.RECOVERED, 0),
        **{str(kind): count for kind, count in left_as_if(counts).items()},
    }
    if any(expectation.path == "order" and expectation.holds is False for expectation in verdict.expectations):
        counted[Find.OUT_OF_ORDER] = counts.out_of_order
    for find, count in counted.items():
        yield from [_Said(UNNAMED, find)] * count


def left_as_if(counts: Counts) -> dict[AsIf, int]:
    """Count the copies of a verdict that an honest broker leaves as well, beside a fault."""
    return {
        AsIf.DELIVERED_AGAIN: counts.duplicates - counts.unexplained_duplicates,
        AsIf.REMOVED: counts.fates.get(Fate.REMOVED, 0),
        AsIf.IN_ORDER_AGAIN: counts.redelivered,
    }


def _named(find: Find, told: Told, mine: Sequence[_Said], place: Place | None) -> bool:
    """Whether a message is named: if it is lost, in each queue that it should have been in."""
    mine = [one for one in mine if one.find == find]
    if find is not Find.LOST or place is None or not place.queues:
        return bool(mine)
    return {one.queue for one in mine} >= ({told.queue} if told.queue else place.queues.keys())


def _take_one(find: str, left: list[_Said], place: Place | None) -> bool:
    """Take something that the verdict only counts; returns whether there was any."""
    message = UNNAMED if place else NOBODY
    one = next((one for one in left if (one.message, one.find) == (message, find)), None)
    if one is not None:
        left.remove(one)
    return one is not None


def _take_another(left: list[_Said], place: Place, victims: Collection[str]) -> list[_Said]:
    """Take what is said of the loss of a message of a place that nobody lied about."""
    for one in left:
        publisher, _, _ = one.message.partition("#")
        if one.find == Find.LOST and publisher == place.publisher and one.message not in victims:
            left.remove(one)
            return [one]
    return []


def _in_words(one: _Said) -> str:
    return f"{one.message or 'a message'}: {one.find}" + (f" in {one.queue}" if one.queue else "")
