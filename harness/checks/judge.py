"""From a variant's history to its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from harness.checks.rules.acknowledged import kept_after_ack
from harness.checks.rules.broker_down import broker_down
from harness.checks.rules.causes import find_causes
from harness.checks.rules.controls import TakenAway
from harness.checks.rules.distribution import (
    deliveries_each,
    fairness,
    had_by,
    out_of_order,
    strictly_in_turn,
    worker_figures,
)
from harness.checks.rules.duplicates import Duplicates, find_duplicates
from harness.checks.rules.evidence import NO_CAUSES, Causes
from harness.checks.rules.expectations import evaluate, too_few
from harness.checks.rules.fates import ORDER, Fates, find_fates
from harness.checks.rules.latency import latency
from harness.checks.rules.load import load
from harness.checks.rules.machines import machines, unless_gone, what_is_gone
from harness.checks.rules.observed import Observed
from harness.checks.rules.outcome import decide, expects_refusals, is_cut_short, unless_cut_short
from harness.checks.rules.precision import Precision, precision
from harness.checks.rules.risk import at_risk
from harness.checks.rules.schedule import kept as schedule_kept
from harness.checks.rules.schedule import schedules
from harness.checks.rules.taken import Taken
from harness.checks.rules.timing import outages, recovery_s, speed_up
from harness.checks.rules.unseen import not_looked_at
from harness.checks.tally.fault_records import FaultRecord, Missed, fault_records, missed
from harness.checks.tally.message_table import MessageTable, tabulate
from harness.checks.tally.times import NEVER
from harness.checks.words.done_twice import group_duplicates
from harness.checks.words.errors import errors_of_traffic
from harness.checks.words.headline import headline
from harness.checks.words.listing import Listing, corrupt_messages
from harness.checks.words.not_done import group_not_done
from harness.checks.words.sentences import group_causes, undeclared_effects
from harness.events import BrokerStarted, Drained, ErrorObserved, Event, Note, VariantFinished
from harness.history.history import History
from harness.scenario.scenario import Scenario
from harness.verdict.data import Counts, Fate, FaultOutcome, Place, VariantVerdict

CONFIDENCE = 0.95
_DETACHED = "#888888"
"""The colour of a step that never struck."""


def judge(
    history: History,
    scenario: Scenario,
    *,
    name: str,
    description: str = "",
    settings: dict[str, str] | None = None,
    before: Scenario | None = None,
) -> VariantVerdict:
    """Judge one variant's history by its scenario (settings applied, `expect` its own). Pure and deterministic.

    `before` is the scenario without the control's settings.
    """
    events = history.events
    seen, struck = tabulate(history, scenario), fault_records(events)
    # Those that need much memory come first.
    without_service = outages(seen)
    messages = seen.messages
    confirm, confirm_detail = latency(
        messages.first_published_ns, messages.first_confirmed_ns, struck, zero_ns=seen.zero_ns
    )
    completion, completion_detail = latency(
        seen.first_published_ns, seen.first_completed_ns, struck, zero_ns=seen.zero_ns
    )
    scheduled = schedules(seen, scenario)
    due, due_detail = (
        (None, None)
        if scheduled is None
        else latency(scheduled.due_by_copy, seen.first_completed_ns, struck, zero_ns=seen.zero_ns)
    )
    fates = find_fates(seen, events)
    twice = find_duplicates(seen, events)
    kept = kept_after_ack(seen, events)
    counts = _counts(seen, fates, twice=len(twice.copy), unexplained=len(twice.unexplained), kept=len(kept))
    gone = tuple(what_is_gone(events))
    undecided = bool(gone) or is_cut_short(events)
    causes = NO_CAUSES if undecided else find_causes(fates.lost(), seen, events)
    otherwise = NO_CAUSES if undecided else find_causes(fates.perhaps_lost(), seen, events)
    unseen = not_looked_at(scenario, seen, events)
    grouped = group_causes(causes, seen, events, unseen)
    not_done = () if undecided else group_not_done(fates.taken, otherwise, seen, struck)
    faults = (
        *_fault_outcomes(seen, causes, fates.taken, twice, struck, precision(seen, scenario, struck)),
        *(_missed_outcome(each) for each in missed(events)),
    )
    down = broker_down(seen, struck, events)
    taken_away = TakenAway(settings or {}, scenario, before, seen.topology.rabbitmq)
    observed = Observed(
        tally=seen,
        counts=counts,
        lost_at=causes.by_place(),
        faults=faults,
        workers=worker_figures(seen, scenario, events),
        outages=without_service,
        broker_down=down,
        confirm_latency=confirm,
        completion_latency=completion,
        completion_due_latency=due,
        errors=(*(event for event in events if isinstance(event, ErrorObserved)), *seen.errors),
        undisturbed_out_of_order=out_of_order(seen, undisturbed=True) if counts.out_of_order else 0,
        in_turn=strictly_in_turn(seen) if scenario.expect.round_robin is not None else (False, ""),
        speed_ups=_speed_ups(seen, scenario, events),
        shown=taken_away.shown(causes, fates.taken, seen) if settings else {},
    )
    expectations = evaluate(scenario, observed)
    if gone:
        expectations = tuple(unless_gone(result) for result in expectations)
    elif undecided:
        expectations = tuple(unless_cut_short(result) for result in expectations)
    promised = messages.count(messages.promised)
    pointless = not promised and not expects_refusals(scenario)
    outcome, reasons = decide(events, counts, faults, expectations, too_few(scenario, observed), pointless=pointless)
    may_be_lost = len(causes.copies) + counts.perhaps_lost
    bound = 1 - (1 - CONFIDENCE) ** (1 / promised) if promised and not may_be_lost and not undecided else None
    started = next((event for event in events if isinstance(event, BrokerStarted)), None)
    drained = next((event for event in events if isinstance(event, Drained)), None)
    listing = Listing(history, seen, causes=causes, twice=twice, kept=kept, fates=fates)
    return VariantVerdict(
        name=name,
        description=description,
        settings=settings or {},
        outcome=outcome,
        headline=headline(
            outcome,
            counts=counts,
            bound=bound,
            causes=grouped,
            not_done=not_done,
            struck=struck,
            expectations=expectations,
            reasons=reasons,
            complete=not gone,
        ),
        reasons=reasons,
        counts=counts,
        promised=promised,
        loss_rate_below=bound,
        expectations=expectations,
        causes=grouped,
        duplicate_causes=group_duplicates(twice, seen, struck),
        not_done=not_done,
        lost=tuple(listing.lost()),
        done_twice=tuple(listing.done_twice()),
        anomalies=tuple(listing.anomalies()),
        faults=faults,
        outages=observed.outages.listed,
        confirm_latency=observed.confirm_latency,
        completion_latency=observed.completion_latency,
        confirm_latency_detail=confirm_detail,
        completion_latency_detail=completion_detail,
        workers=observed.workers,
        by_queue=_by(seen, fates, *_first_queues(seen)),
        by_publisher=_by(seen, fates, seen.publisher_of, messages.publisher_names),
        by_worker=_by(seen, fates, *had_by(seen, observed.workers)),
        deliveries_each=deliveries_each(seen),
        load=load(events, scenario),
        machines=machines(events),
        fairness=fairness(observed.workers),
        drained=drained is not None and drained.complete,
        notes=(
            *(event.message for event in events if isinstance(event, Note) and event.message not in reasons),
            *undeclared_effects(struck),
            *errors_of_traffic(seen.errors),
        ),
        duration_s=_duration_s(events),
        backend=started.backend if started else "",
        rabbitmq=started.rabbitmq if started else "",
        not_looked_at=unseen,
        completion_due_latency=due,
        completion_due_latency_detail=due_detail,
        broker_down=down,
        schedule=None if scheduled is None or gone else schedule_kept(scheduled, seen, scenario, events),
    )


def _counts(seen: MessageTable, fates: Fates, *, twice: int, unexplained: int, kept: int) -> Counts:
    flow, messages, by_fate = seen.flow, seen.messages, fates.counts()
    confirmed = unsettled = 0
    for here in messages.slices():
        known = messages.first_confirmed_ns.known(here)
        confirmed += int(np.count_nonzero(known))
        if not known.all():
            open_ones = messages.published.some[here] & ~known & ~messages.refused(here) & ~messages.unconfirmed[here]
            unsettled += int(np.count_nonzero(open_ones))
    return Counts(
        published=messages.count(messages.published.some),
        copies=sum(by_fate.values()),
        publishes=seen.attempts,
        confirmed=confirmed,
        nacked=messages.count(messages.nacked),
        returned=messages.count(messages.returned),
        indeterminate=unsettled,
        unconfirmed=messages.count(messages.unconfirmed),
        deliveries=int(flow.delivered.sum()),
        redelivered=int(flow.redelivered.sum()),
        completions=int(flow.completed.sum()),
        duplicates=twice,
        unexplained_duplicates=unexplained,
        phantom=flow.invented + seen.found.foreign,
        corrupt=len(corrupt_messages(seen)),
        misrouted=seen.misroutings + int(np.count_nonzero(seen.found.copy < 0)),
        kept_after_ack=kept,
        out_of_order=out_of_order(seen),
        fates=by_fate,
        possible={fate: possible for fate in Fate if (possible := fates.possible(fate))},
        instead={fate: instead for fate in Fate if (instead := fates.instead(fate))},
    )


def _first_queues(seen: MessageTable) -> tuple[Callable[[slice], np.ndarray], dict[int, str]]:
    """Return a number for the queue that each copy of a slice begins in (or the route of one that reached none), and their names."""
    none = len(seen.queues)
    table = np.where(seen.begins_in < 0, none + np.arange(len(seen.begins_in))[:, np.newaxis], seen.begins_in)

    def group(here: slice) -> np.ndarray:
        found: np.ndarray = table[:, seen.copies.slot(here)][seen.route[here]]
        return found

    used = {slot.begins_in for lives in seen.copies.lives for slot in lives.slots}
    names = {number: name for number, name in enumerate(seen.queues) if name in used}
    unroutable = {
        none + number: route
        for number, (route, lives) in enumerate(zip(seen.routes, seen.copies.lives, strict=True))
        if not all(slot.begins_in for slot in lives.slots)
    }
    return group, names | unroutable


def _by(
    seen: MessageTable, fates: Fates, group: Callable[[slice], np.ndarray], names: dict[int, str]
) -> dict[str, dict[Fate, int]]:
    """Count the fates in each group; groups of one name are one."""
    width = len(ORDER)
    table = np.zeros(width * (max(names, default=0) + 1), dtype=np.int64)
    for here in seen.slices():
        codes = fates.codes[here]
        keys = group(here) * np.int64(width) + codes
        exists = codes >= 0
        table += np.bincount(keys if exists.all() else keys[exists], minlength=len(table))
    result: dict[str, dict[Fate, int]] = {}
    for number, name in names.items():
        row = result.setdefault(name, dict.fromkeys(ORDER, 0))
        for place, fate in enumerate(ORDER):
            row[fate] += int(table[number * width + place])
    return result


def _fault_outcomes(
    seen: MessageTable,
    causes: Causes,
    gone: Taken,
    twice: Duplicates,
    struck: Sequence[FaultRecord],
    measured: Mapping[int, Precision],
) -> Iterator[FaultOutcome]:
    counts = np.bincount(causes.of, minlength=len(causes.causes)).tolist()
    taken: Counter[int | None] = Counter()
    reached: Counter[int | None] = Counter(twice.fault.tolist())
    for cause, count in zip(causes.causes, counts, strict=True):
        taken[cause.fault] += count
        if (
            cause.place is not Place.EXCHANGE
        ):  # what was sent to a queue that had gone was not there when the fault struck
            reached[cause.fault] += count
    removed = gone.chosen(gone.fault >= 0)
    struck_ns = {each.fault: each.struck_ns for each in struck}
    for fault, count in zip(*(each.tolist() for each in np.unique(removed.fault, return_counts=True)), strict=True):
        taken[fault] += count
        reached[fault] += count
    taken_ns = [causes.taken_ns(), np.array([struck_ns[fault] for fault in removed.fault.tolist()], dtype=np.int64)]
    risks = at_risk(struck, seen, np.concatenate([causes.copies, removed.copy]), np.concatenate(taken_ns))
    for each, risk in zip(struck, risks, strict=True):
        # What it took, or had done again, was in its reach, seen there or not.
        most = None if risk is None else max(risk, reached[each.fault])
        yield _fault_outcome(each, seen, most, taken[each.fault], measured[each.fault])


def _fault_outcome(
    fault_record: FaultRecord, seen: MessageTable, risk: int | None, taken: int, measured: Precision
) -> FaultOutcome:
    return FaultOutcome(
        fault=fault_record.fault,
        action=fault_record.action,
        title=fault_record.title,
        family=fault_record.family,
        colour=fault_record.colour,
        injected_s=seen.seconds(fault_record.at_ns),
        healable=fault_record.healable,
        healed_s=seen.seconds(fault_record.healed_ns) if fault_record.healed_ns != NEVER else None,
        at_risk=risk,
        taken=taken,
        recovery_s=recovery_s(fault_record, seen),
        clean=fault_record.clean,
        times=fault_record.times,
        trigger=measured.trigger,
        late_s=measured.late_s,
        counted=dict(measured.counted),
    )


def _missed_outcome(each: Missed) -> FaultOutcome:
    return FaultOutcome(
        fault=each.fault,
        action=each.action,
        title=each.action,
        family="",
        colour=_DETACHED,
        injected_s=None,
        healable=False,
        healed_s=None,
        at_risk=None,
        taken=0,
        recovery_s=None,
        missed=each.reason,
    )


def _speed_ups(seen: MessageTable, scenario: Scenario, events: Sequence[Event]) -> dict[str, float | None]:
    """Measure the first step of each action that the scenario asks about."""
    asked = scenario.expect.faster_after
    return {each.action: speed_up(each, seen) for each in reversed(fault_records(events)) if each.action in asked}


def _duration_s(events: Sequence[Event]) -> float:
    """How long the variant took, up to its judgement: the event that tells of the judgement itself does not count."""
    times = [event.at_ns for event in events if not isinstance(event, VariantFinished)]
    return (times[-1] - times[0]) / 1e9 if times else 0.0
