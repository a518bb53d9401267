"""Holds the judge's verdict against the oracle's decisions."""

from __future__ import annotations

from collections import Counter, defaultdict

from harness.verdict.data import Fate, MessageId, Outcome, VariantVerdict
from tests.oracle.duplicates import Reason
from tests.oracle.lives import Name
from tests.oracle.oracle import Decision, Oracle
from tests.oracle.reading import Key

FATES = {
    "done": Fate.PROCESSED,
    "recovered": Fate.RECOVERED,
    "resurrected": Fate.RESURRECTED,
    "lost": Fate.LOST,
    "never promised": Fate.NEVER_PROMISED,
    "stranded": Fate.STRANDED,
    "dead-lettered": Fate.DEAD_LETTERED,
    "in transit": Fate.IN_TRANSIT,
    "expired": Fate.EXPIRED,
    "dropped": Fate.DROPPED,
    "removed": Fate.REMOVED,
    "retained": Fate.RETAINED,
    "taken": Fate.REMOVED,
}


def disagreements(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    """Where the judge says something else than the oracle; a sentence each."""
    cut_short = verdict.outcome in (Outcome.INFRASTRUCTURE, Outcome.INTERRUPTED)
    return [
        *_messages(verdict, oracle),
        *_fates("all copies", verdict.counts.fates, verdict.counts.possible, oracle.decisions),
        *_by_queue(verdict, oracle),
        *(() if cut_short else _lost(verdict, oracle)),
        *(() if cut_short else _causes(verdict, oracle)),
        *_anomalies(verdict, oracle),
    ]


def _differs(what: str, judge: object, oracle: object) -> list[str]:
    return [] if judge == oracle else [f"{what}: the judge says {judge}, the oracle {oracle}"]


def _messages(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    """The rule: "Published, confirmed, returned, nacked and never promised count messages"."""
    counts, every = verdict.counts, oracle.records.publishes.values()
    return [
        *_differs("published", counts.published, len(every)),
        *_differs(
            "confirmed", counts.confirmed, sum(any(each.confirmed_ns is not None for each in mine) for mine in every)
        ),
        *_differs("nacked", counts.nacked, sum(any(each.nacked for each in mine) for mine in every)),
        *_differs("returned", counts.returned, sum(any(each.returned for each in mine) for mine in every)),
        *_differs("copies", sum(counts.fates.values()), len(oracle.decisions)),
    ]


def _bounds(decisions: dict[Name, Decision]) -> dict[Fate, tuple[int, int]]:
    """By fate, how many have it for certain, and how many may have it."""
    sure: Counter[Fate] = Counter()
    may: Counter[Fate] = Counter()
    for decision in decisions.values():
        sure[FATES[decision.fate]] += decision.sure
        for fate in {FATES[fate] for fate in (decision.fate, *decision.others)}:
            may[fate] += 1
    return {fate: (sure[fate], may[fate]) for fate in Fate}


def _fates(
    where: str, judged: dict[Fate, int], possible: dict[Fate, int], decisions: dict[Name, Decision]
) -> list[str]:
    """Figures that cannot both be true. `possible` are those of a fate that may as well have been lost."""
    found = []
    for fate, (low, high) in _bounds(decisions).items():
        least, most = judged.get(fate, 0) - possible.get(fate, 0), judged.get(fate, 0)
        if fate is Fate.LOST:
            least, most = judged.get(fate, 0), judged.get(fate, 0) + sum(possible.values())
        if most < low or least > high:
            found.append(f"{where}, {fate}: the judge says {least} to {most}, the oracle {low} to {high}")
    return found


def _by_queue(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    found: list[str] = []
    by_queue: dict[str, dict[Name, Decision]] = defaultdict(dict)
    for name, decision in oracle.decisions.items():
        begins = oracle.lives.of[name].from_queue or oracle.records.publishes[name.key][-1].route
        by_queue[begins][name] = decision
    for queue in oracle.topology.queues:
        # What is possible is not said by queue: any of a fate may be.
        judged, may = verdict.by_queue.get(queue, {}), verdict.counts.possible
        possible = {fate: min(count, judged.get(fate, 0)) for fate, count in may.items()}
        found += _fates(f"queue {queue}", judged, possible, by_queue.get(queue, {}))
    return found


def _key(message: MessageId, oracle: Oracle) -> Key:
    return oracle.records.numbers[message.publisher], message.seq


def _lost(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    """Which messages lost a copy."""
    judged = {_key(lost.message, oracle) for lost in verdict.lost}
    sure = {name.key for name, each in oracle.decisions.items() if each.fate == "lost" and each.sure}
    may = {name.key for name, each in oracle.decisions.items() if "lost" in (each.fate, *each.others)}
    missed, invented = sorted(sure - judged), sorted(judged - may)
    return [
        *(f"{key} is lost, and the judge does not name it" for key in missed[:5]),
        *(f"{key} is named as lost, and is not" for key in invented[:5]),
    ]


def _causes(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    """Places and faults of what was lost: those of the oracle's best option, or of another one where there are several."""
    found = []
    may: dict[tuple[int, int], set[tuple[str, int | None]]] = defaultdict(set)
    for name, decision in oracle.decisions.items():
        for option in (decision.option, *decision.options):
            if option is not None and option.fate == "lost":
                may[name.key].add((option.place, option.fault))
    for lost in verdict.lost:
        key = _key(lost.message, oracle)
        if may[key] and (str(lost.place), lost.fault) not in may[key]:
            found.append(
                f"{key} lost: the judge says at {lost.place} by {lost.fault}, the oracle {sorted(map(str, may[key]))}"
            )
    return found[:5]


def _anomalies(verdict: VariantVerdict, oracle: Oracle) -> list[str]:
    counts, twice = verdict.counts, oracle.duplicates.all()
    unexplained = {each.life.name for each in twice if each.reason is Reason.NONE}
    return [
        *_differs("done twice", counts.duplicates, len({each.life.name for each in twice})),
        *_differs("done twice without a reason", counts.unexplained_duplicates, len(unexplained)),
        *_differs("phantoms", counts.phantom, oracle.phantoms()),
        *_differs("corrupt", counts.corrupt, len(oracle.corrupt())),
        *_differs("misrouted", counts.misrouted, len(oracle.lives.misrouted)),
    ]
