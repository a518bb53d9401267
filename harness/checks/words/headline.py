"""The verdict in one line: how many were done, how many were not, and the first two reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.verdict.data import (
    DONE,
    Counts,
    ExpectationResult,
    Fate,
    LossCause,
    NotDone,
    Outcome,
    Place,
    VariantVerdict,
)
from harness.verdict.words import plural, rate_bound

if TYPE_CHECKING:
    from harness.checks.tally.fault_records import FaultRecord

LONGEST: Final = 120
"""Characters of a headline at most."""
LONGEST_NAME: Final = 24
"""Longer names of queues, actors and faults are cut in the middle."""
LONGEST_REASON: Final = 80
MOST_REASONS: Final = 2
SHORTEST_CUT: Final = 16
"""A reason that has to be cut shorter than this is left out."""
NAMED_CONTROLS: Final = 3

NOT_DONE: Final = (
    Fate.LOST,
    Fate.EXPIRED,
    Fate.DROPPED,
    Fate.REMOVED,
    Fate.DEAD_LETTERED,
    Fate.RETAINED,
    Fate.STRANDED,
    Fate.IN_TRANSIT,
    Fate.NEVER_PROMISED,
)
"""In the order in which they stand in the line; what has no room there is summed up."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why copies were not done, or the verdict is what it is."""

    text: str
    fate: Fate | None = None
    """The fate that it explains; None for what is no fate, such as a latency."""
    count: int = 0
    """How many copies of that fate."""


def faults_in_words(struck: Sequence[FaultRecord]) -> str:
    """Sum the faults up: `across 2 broker restarts and 1 worker kill`."""
    names: Counter[tuple[str, str]] = Counter()
    for fault_record in struck:
        names[fault_record.noun] += fault_record.times
    parts = [plural(count, *noun) for noun, count in names.items()]
    if not parts:
        return "without any fault"
    return "across " + (parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}")


def headline(
    outcome: Outcome,
    *,
    counts: Counts,
    bound: float | None,
    causes: Sequence[LossCause],
    not_done: Sequence[NotDone],
    struck: Sequence[FaultRecord],
    expectations: Sequence[ExpectationResult],
    reasons: Sequence[str],
    complete: bool = True,
) -> str:
    """Make a variant's line, of at most LONGEST characters.

    `bound` is the upper bound on the loss rate, and `reasons` are those of the outcome. `complete` says whether all records are
    there; where they are not, the line gives no counts.
    """
    if outcome in (Outcome.INFRASTRUCTURE, Outcome.INTERRUPTED):
        return _broken_off(outcome, counts if complete else Counts(), reasons)
    why = tuple(_why(outcome, counts, causes, not_done, expectations, reasons))
    line = _with_reasons(_Line(counts, left_out=len(why)), why)
    fitting = (each for each in _with_ends(line, struck, bound) if len(str(each)) <= LONGEST)
    return _short(str(next(fitting, line)), LONGEST)


def run_headline(outcome: Outcome, variants: Sequence[VariantVerdict]) -> str:
    """Make the whole run's line, of at most LONGEST characters: the guarantee's, and whether the controls showed what they must.

    That is said in any case, and the guarantee's line is cut for it; which controls, where there is room.
    """
    if not variants:
        return "Interrupted before anything was judged." if outcome is Outcome.INTERRUPTED else "Nothing was judged."
    guarantee, controls = variants[0], variants[1:]
    ends = tuple(_of_controls(controls))
    fitting = (f"{guarantee.headline}{end}" for end in ends if len(guarantee.headline) + len(end) <= LONGEST)
    return next(fitting, f"{_short(guarantee.headline, LONGEST - len(ends[-1]))}{ends[-1]}")


def _of_controls(controls: Sequence[VariantVerdict]) -> Iterator[str]:
    """Yield what may be said of the controls, the longest first."""
    bad = [control for control in controls if control.outcome is not Outcome.AS_EXPECTED]
    if bad:
        shown = f"{len(bad)} of {plural(len(controls), 'control')} did not show what {'it' if len(bad) == 1 else 'they'} must"
        named = _some([f"{name_in_line(control.name)}: {control.outcome.value}" for control in bad])
        yield from (
            f". {shown} ({named}).",
            f"; {shown}",
            f"; {len(bad)} of {plural(len(controls), 'control')} not shown",
        )
    elif controls:
        shown = "Its control showed what it must" if len(controls) == 1 else "Its controls showed what they must"
        named = _some([name_in_line(control.name) for control in controls])
        yield from (
            f". {shown} ({named}).",
            f". {shown}.",
            f"; {'control' if len(controls) == 1 else 'controls'} as expected",
        )
    else:
        yield ""


def name_in_line(name: str) -> str:
    """Return a name as it may stand in a line: printable, and cut in the middle where it is longer than LONGEST_NAME."""
    text = _printable(name)
    if len(text) <= LONGEST_NAME:
        return text
    begin = (LONGEST_NAME - 1) // 2
    return f"{text[:begin]}…{text[begin + 1 - LONGEST_NAME :]}"


def _broken_off(outcome: Outcome, counts: Counts, reasons: Sequence[str]) -> str:
    """Make the line of a run without an end: what is not done yet may still have been on its way."""
    reason = _printable(reasons[0]) if reasons else "it did not come to an end"
    begin = f"{outcome.value.capitalize()}: "
    if counts.published:
        done = _done(counts)
        begin = f"{plural(counts.published, 'task')} published, {done:,} done; {outcome.value}: "
    return _short(begin + reason, LONGEST)


def _why(
    outcome: Outcome,
    counts: Counts,
    causes: Sequence[LossCause],
    not_done: Sequence[NotDone],
    expectations: Sequence[ExpectationResult],
    reasons: Sequence[str],
) -> Iterator[Reason]:
    """Yield all reasons, the most important first: what took most, what else failed, and then the others in turn."""
    taken = [Reason(_taken_by(cause), Fate.LOST, cause.count) for cause in causes]
    by: Counter[tuple[str, Fate]] = Counter()
    for each in not_done:
        by[_by(each), each.fate] += each.count
    taken += [Reason(text, fate, count) for (text, fate), count in by.items()]
    others = [Reason(_failed(each)) for each in expectations if each.holds is False and not _said(each, counts)]
    if outcome is Outcome.INCONCLUSIVE:
        others = [Reason(f"inconclusive: {_printable(reasons[0])}")] if reasons else []
        others += [Reason(_printable(reason)) for reason in reasons[1:]]
        yield from others[:1]
        others = others[1:]
    for number in range(max(len(taken), len(others))):
        yield from taken[number : number + 1]
        yield from others[number : number + 1]
    unpromised = counts.fates.get(Fate.NEVER_PROMISED, 0)
    heard = [word for word, count in (("nacked", counts.nacked), ("returned", counts.returned)) if count]
    if unpromised and heard:
        yield Reason(f"({' or '.join(heard)})", Fate.NEVER_PROMISED, unpromised)


def _taken_by(cause: LossCause) -> str:
    actor = name_in_line(cause.actor)
    where = {
        Place.PUBLISHER: f"on the way from {actor or 'a publisher'}",
        Place.EXCHANGE: "at the exchange",
        Place.BROKER: f"at {actor or 'the broker'}",
        Place.WORKER: f"at {actor or 'the workers'}",
        Place.UNKNOWN: "with no cause found",
    }[cause.place]
    return where + (f" by `{name_in_line(cause.fault_title)}`" if cause.fault_title else "")


def _by(each: NotDone) -> str:
    """Return by what, with every long name cut."""
    by = each.by.replace(each.queue, name_in_line(each.queue)) if each.queue else each.by
    return " ".join(name_in_line(word) for word in _printable(by).split(" "))


def _failed(result: ExpectationResult) -> str:
    what, observed = _printable(result.path), _printable(result.observed)
    if result.expected == "0":
        words = what.replace("_", " ")
        return f"{observed} {words.removesuffix('s') if observed == '1' else words}"
    return f"{what} was {observed}, expected {_printable(result.expected)}"


def _said(result: ExpectationResult, counts: Counts) -> bool:
    """Whether the counts say already that an expectation failed: nothing of a fate was to be there, and they name it."""
    fates = {fate.value.replace(" ", "_").replace("-", "_") for fate in NOT_DONE if counts.fates.get(fate)}
    return result.expected == "0" and result.path in fates


def _with_reasons(line: _Line, why: Sequence[Reason]) -> _Line:
    """Add reasons as long as they fit; one that does not is cut, if it is the first."""
    for reason in why:
        if len(line.reasons) == MOST_REASONS:
            break
        short = replace(reason, text=_short(reason.text, LONGEST_REASON))
        longer = line.adding(short)
        over = len(str(longer)) - LONGEST
        if over > 0 and not line.reasons and len(short.text) - over >= SHORTEST_CUT:
            longer = line.adding(replace(short, text=_short(short.text, len(short.text) - over)))
        if len(str(longer)) <= LONGEST:
            line = longer
    return line


def _with_ends(line: _Line, struck: Sequence[FaultRecord], bound: float | None) -> Iterator[_Line]:
    """Yield the line with what else may be said, the most first: the faults and, where everything was done, the loss rate."""
    all_done = not line.not_done
    if any(reason.fate is not None for reason in line.reasons) or line.left_out or not (struck or all_done):
        return
    times = sum(fault_record.times for fault_record in struck)
    rate = f"loss rate {rate_bound(bound)} at 95%" if bound is not None and all_done else ""
    for rest in (rate, ""):
        for faults in (_printable(faults_in_words(struck)), f"across {plural(times, 'fault')}" if struck else ""):
            yield replace(line, faults=faults, rate=rest)


@dataclass(frozen=True, slots=True)
class _Line:
    """What the line is put together from."""

    counts: Counts
    left_out: int
    """How many reasons it does not name."""
    reasons: tuple[Reason, ...] = ()
    faults: str = ""
    rate: str = ""

    def adding(self, reason: Reason) -> _Line:
        """Return it with a reason."""
        return replace(self, reasons=(*self.reasons, reason), left_out=self.left_out - 1)

    def __str__(self) -> str:
        """Write it: counts, each with its reasons, then faults, then the other reasons."""
        counts = self._counts()
        if self.faults:
            counts += f"{' ' if counts.endswith(' done') else ', '}{self.faults}"
        named = [reason.text for reason in self.reasons if reason.fate is None or not self._shows(reason.fate)]
        more = [f"and {plural(self.left_out, 'more reason')}"] if self.left_out and self.reasons else []
        return "; ".join([counts, *named, *more, *([self.rate] if self.rate else [])])

    @property
    def not_done(self) -> list[Fate]:
        """The fates of what was not done."""
        return [fate for fate in NOT_DONE if self.counts.fates.get(fate)]

    def _shows(self, fate: Fate) -> bool:
        return fate in self.not_done[: self._shown()]

    def _shown(self) -> int:
        """How many fates can be named, where nothing else is said."""
        fates = self.not_done
        fitting = (number for number in range(len(fates), 0, -1) if len(self._sums(number)) <= LONGEST)
        return next(fitting, 0)

    def _counts(self) -> str:
        return self._sums(self._shown(), self.reasons)

    def _sums(self, shown: int, reasons: Sequence[Reason] = ()) -> str:
        counts, fates = self.counts, self.not_done
        copies, done = sum(counts.fates.values()), _done(counts)
        begin = plural(counts.published, "task")
        if copies != counts.published:
            begin += f" in {plural(copies, 'copy', 'copies')}"
        if not fates and done > 1:
            return f"{begin}: all done"
        named = [_figure(fate, counts) + _explained(fate, counts, reasons) for fate in fates[:shown]]
        rest = sum(counts.fates[fate] for fate in fates[shown:])
        if rest:
            named.append(f"{rest:,} not done{' otherwise' if shown else ''}")
        done_figure = [f"{done:,} done"] if copies else ["nothing was published"]
        return f"{begin}: {', '.join([*done_figure, *named])}"


def _done(counts: Counts) -> int:
    return sum(counts.fates.get(fate, 0) for fate in DONE)


def _figure(fate: Fate, counts: Counts) -> str:
    """Write how many have a fate, as in `5 dropped`, `up to 5 dropped` or `2 to 5 dropped`."""
    shown, most = counts.least(fate), counts.most(fate) if fate is not Fate.LOST else counts.fates[fate]
    if shown == most:
        return f"{most:,} {fate.value}"
    return f"{shown:,} to {most:,} {fate.value}" if shown > 0 else f"up to {most:,} {fate.value}"


def _explained(fate: Fate, counts: Counts, reasons: Sequence[Reason]) -> str:
    mine = [reason for reason in reasons if reason.fate is fate]
    if not mine:
        return ""
    if len(mine) == 1 and mine[0].count == counts.fates[fate]:
        return f" {mine[0].text}"
    return f" ({', '.join(f'{reason.count:,} {reason.text}' for reason in mine)})"


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED_CONTROLS:,} more"] if len(names) > NAMED_CONTROLS else []
    return ", ".join([*names[:NAMED_CONTROLS], *more])


def _printable(text: str) -> str:
    """Return text on one line, with a question mark for each character that is not shown."""
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)


def _short(text: str, length: int) -> str:
    """Cut a text, between two words unless that takes more than a third of it."""
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    between = cut if text[length - 1] == " " else cut.rpartition(" ")[0]
    return (between if len(between) > length * 2 // 3 else cut).rstrip(" ,:;(") + "…"
