"""From a variant's history to its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.checks.causes import Cause, find_causes, group_causes
from harness.checks.distribution import out_of_order, strictly_in_turn, unexplained_duplicates, worker_figures
from harness.checks.expectations import evaluate
from harness.checks.fates import ORDER, code, fates
from harness.checks.happenings import Happening, Missed, happenings, missed
from harness.checks.headline import headline
from harness.checks.observed import Observed
from harness.checks.risk import at_risk
from harness.checks.tally import NEVER, Tally, tally
from harness.checks.timing import outages, percentiles, recovery_s, speed_up
from harness.checks.verdict import (
    LISTED_MESSAGES,
    Anomaly,
    Counts,
    ExpectationResult,
    Fate,
    FaultOutcome,
    LifeEvent,
    LostMessage,
    MessageId,
    Outcome,
    VariantVerdict,
)
from harness.events import (
    BrokerStarted,
    Drained,
    ErrorObserved,
    Event,
    InfrastructureFailed,
    Note,
    ProcessExited,
    TrafficStarted,
    VariantFinished,
)
from harness.history.history import History
from harness.history.trace import life, narrowed
from harness.scenario.scenario import Scenario

CONFIDENCE = 0.95


def judge(
    history: History, scenario: Scenario, *, name: str, description: str = "", settings: dict[str, str] | None = None
) -> VariantVerdict:
    """Judge one variant's history by its scenario (settings applied, `expect` its own). Pure and deterministic."""
    events = history.events
    seen = tally(history)
    fate = fates(seen, scenario, events)
    counts = _counts(seen, fate)
    lost = np.flatnonzero(fate == code(Fate.LOST))
    causes = find_causes(lost, seen, scenario, events)
    grouped = group_causes(causes, seen, events)
    struck = happenings(events)
    taken = {
        fault: sum(cause.count for cause in grouped if cause.fault == fault) for fault in {c.fault for c in grouped}
    }
    faults = tuple(_fault_outcome(happening, seen, taken.get(happening.fault, 0)) for happening in struck)
    faults += tuple(_missed_outcome(each) for each in missed(events))
    confirm_latency = percentiles(seen.first_published_ns, seen.first_confirmed_ns)
    completion_latency = percentiles(seen.first_published_ns, seen.first_completed_ns)
    observed = Observed(
        tally=seen,
        counts=counts,
        causes=causes,
        faults=faults,
        workers=worker_figures(seen, scenario, events),
        outages=outages(seen),
        confirm_latency=confirm_latency,
        completion_latency=completion_latency,
        errors=tuple(event for event in events if isinstance(event, ErrorObserved)),
        in_turn=strictly_in_turn(seen),
        speed_ups={happening.action: speed_up(happening, seen) for happening in reversed(struck)},
    )
    told = narrowed(history, _told_of(seen, lost))
    expectations = evaluate(scenario, observed)
    outcome, reasons = _outcome(history, counts, faults, expectations)
    promised = int(np.count_nonzero(seen.promised))
    bound = 1 - (1 - CONFIDENCE) ** (1 / promised) if promised and not len(lost) else None
    started = next((event for event in events if isinstance(event, BrokerStarted)), None)
    drained = next((event for event in events if isinstance(event, Drained)), None)
    return VariantVerdict(
        name=name,
        description=description,
        settings=settings or {},
        outcome=outcome,
        headline=headline(
            outcome,
            counts=counts,
            promised=promised,
            confirms=not seen.unconfirmed.any(),
            bound=bound,
            causes=grouped,
            faults=faults,
            expectations=expectations,
            reasons=reasons,
        ),
        reasons=reasons,
        counts=counts,
        promised=promised,
        loss_rate_below=bound,
        expectations=expectations,
        causes=grouped,
        lost=tuple(
            _lost_message(message, cause, seen, told)
            for message, cause in zip(lost[:LISTED_MESSAGES].tolist(), causes.causes, strict=False)
        ),
        anomalies=tuple(_anomalies(seen, told)),
        faults=faults,
        outages=observed.outages.listed,
        confirm_latency=confirm_latency,
        completion_latency=completion_latency,
        workers=observed.workers,
        by_queue=_by(fate, seen.route, dict(enumerate(seen.routes))),
        by_publisher=_by(fate, seen.publisher_of(), seen.publisher_names),
        drained=drained is not None and drained.complete,
        notes=tuple(event.message for event in events if isinstance(event, Note)),
        duration_s=_duration_s(events),
        backend=started.backend if started else "",
        rabbitmq=started.rabbitmq if started else "",
    )


def _told_of(seen: Tally, lost: np.ndarray) -> list[tuple[int, int]]:
    """Return the messages whose lives the verdict tells, as (publisher's number, seq)."""
    deliveries = seen.deliveries
    corrupt = np.unique(deliveries.message[deliveries.corrupt & (deliveries.message >= 0)])
    chosen = [each[:LISTED_MESSAGES] for each in (lost, unexplained_duplicates(seen), corrupt)]
    numbers = {name: number for number, name in seen.publisher_names.items()}
    names = (seen.name(message) for message in np.concatenate(chosen).tolist())
    return [(numbers[publisher], seq) for publisher, seq in names]


def _duration_s(events: Sequence[Event]) -> float:
    """How long the variant took, up to its judgement: the event that tells of the judgement itself does not count."""
    times = [event.at_ns for event in events if not isinstance(event, VariantFinished)]
    return (times[-1] - times[0]) / 1e9 if times else 0.0


def _counts(seen: Tally, fate: np.ndarray) -> Counts:
    publishes, deliveries = seen.publishes, seen.deliveries
    exists = seen.published > 0
    nacked = np.zeros(seen.total, dtype=bool)
    nacked[publishes.message[publishes.nacked]] = True
    returned = np.zeros(seen.total, dtype=bool)
    returned[publishes.message[publishes.returned]] = True
    confirmed = seen.first_confirmed_ns != NEVER
    done = deliveries.completed_ns != NEVER
    corrupt = deliveries.message[deliveries.corrupt]
    return Counts(
        published=int(exists.sum()),
        publishes=len(publishes.message),
        confirmed=int(confirmed.sum()),
        nacked=int(nacked.sum()),
        returned=int(returned.sum()),
        indeterminate=int((exists & ~confirmed & ~nacked & ~returned & ~seen.unconfirmed).sum()),
        unconfirmed=int(seen.unconfirmed.sum()),
        deliveries=len(deliveries.message),
        redelivered=int(deliveries.redelivered.sum()),
        completions=int(done.sum()),
        duplicates=int((seen.completions > 1).sum()),
        unexplained_duplicates=len(unexplained_duplicates(seen)),
        phantom=int(np.count_nonzero(done & (deliveries.message < 0))) + seen.found_foreign,
        corrupt=len(np.unique(corrupt)),
        out_of_order=out_of_order(seen),
        fates={each: int(np.count_nonzero(fate == number)) for number, each in enumerate(ORDER)},
    )


def _by(fate: np.ndarray, group: np.ndarray, names: dict[int, str]) -> dict[str, dict[Fate, int]]:
    table: dict[str, dict[Fate, int]] = {}
    for number, name in names.items():
        mine = fate[group == number]
        table[name] = {each: int(np.count_nonzero(mine == index)) for index, each in enumerate(ORDER)}
    return table


def _fault_outcome(happening: Happening, seen: Tally, taken: int) -> FaultOutcome:
    return FaultOutcome(
        fault=happening.fault,
        action=happening.action,
        title=happening.title,
        family=happening.family,
        colour=happening.colour,
        injected_s=seen.seconds(happening.at_ns),
        healed_s=seen.seconds(happening.healed_ns) if happening.healed_ns != NEVER else None,
        at_risk=at_risk(happening, seen),
        taken=taken,
        recovery_s=recovery_s(happening, seen),
        clean=happening.clean,
    )


def _missed_outcome(each: Missed) -> FaultOutcome:
    return FaultOutcome(
        fault=each.fault,
        action=each.action,
        title=each.action,
        family="",
        colour="#888888",
        injected_s=None,
        healed_s=None,
        at_risk=None,
        taken=0,
        recovery_s=None,
        missed=each.reason,
    )


def _outcome(
    history: History, counts: Counts, faults: Sequence[FaultOutcome], expectations: Sequence[ExpectationResult]
) -> tuple[Outcome, tuple[str, ...]]:
    """Decide, and say why.

    A violation outranks an infrastructure error, which outranks inconclusive. One refinement: where nothing was at risk, loss that was
    to be shown and did not happen had no fair chance, so a control that fails only by that is inconclusive, not violated. An interrupted
    run, or one whose infrastructure failed, did not come to its end: there only what is there and must not be is a violation.
    """
    events = history.events
    broken = [event.message for event in events if isinstance(event, InfrastructureFailed)]
    broken += [
        f"{event.actor} ended with exit code {event.exit_code}, and nobody had ended it"
        for event in events
        if isinstance(event, ProcessExited) and event.cause == "unexpected" and not broken
    ]
    drained = next((event for event in events if isinstance(event, Drained)), None)
    failed = [result for result in expectations if result.holds is False]
    if not broken and drained is None:
        return Outcome.INTERRUPTED, ("the run was interrupted before the drain ended",)
    if broken:
        failed = [result for result in failed if result.path in ("phantom", "corrupt", "unexplained_duplicates")]
        if failed:
            return Outcome.VIOLATED, tuple(_failure(result) for result in failed)
        return Outcome.INFRASTRUCTURE, tuple(broken)
    doubts = tuple(_doubts(events, counts, faults, expectations, drained))
    if any(result.path == "stranded" and not result.stated for result in failed):
        failed = [result for result in failed if result.path != "stranded"]
    unfair = bool(doubts) and all(_asks_for_more(result) for result in failed)
    if failed and not unfair:
        return Outcome.VIOLATED, tuple(_failure(result) for result in failed)
    if doubts:
        return Outcome.INCONCLUSIVE, doubts
    return Outcome.AS_EXPECTED, ()


def _failure(result: ExpectationResult) -> str:
    return f"{result.path}: expected {result.expected}, observed {result.observed}"


def _asks_for_more(result: ExpectationResult) -> bool:
    """Whether an expectation failed because less was seen than it asks for."""
    return result.path.startswith("lost") and result.expected.lstrip().startswith(">")


def _doubts(
    events: Sequence[Event],
    counts: Counts,
    faults: Sequence[FaultOutcome],
    expectations: Sequence[ExpectationResult],
    drained: Drained | None,
) -> Iterator[str]:
    if counts.published == 0:
        yield "nothing was published"
    if not any(isinstance(event, TrafficStarted) for event in events):
        yield "the traffic never began"
    for fault in faults:
        if fault.missed:
            yield f"step {fault.fault + 1} ({fault.title}) never struck: {fault.missed}"
        elif fault.at_risk == 0:
            yield f"no message was at risk when step {fault.fault + 1} ({fault.title}) struck, so it proves nothing"
    unstated = next((result for result in expectations if result.path == "stranded" and not result.stated), None)
    if unstated is not None and not unstated.holds:
        yield f"{counts.fates.get(Fate.STRANDED, 0):,} messages were still in a work queue when the drain ended"
    elif drained is not None and not drained.complete and unstated is not None:
        yield f"the drain did not finish: {drained.reason}"
    for result in expectations:
        if result.holds is None:
            yield f"{result.path}: {result.observed}"


def _lost_message(message: int, cause: Cause, seen: Tally, history: History) -> LostMessage:
    publisher, seq = seen.name(message)
    events = _life(history, seen, publisher, seq)
    return LostMessage(
        message=MessageId(publisher, seq),
        queue=seen.routes[int(seen.route[message])],
        place=cause.place,
        actor=cause.actor,
        fault=cause.fault,
        setting=cause.setting,
        last_seen_s=events[-1].at_s if events else 0.0,
        life=events,
    )


def _life(history: History, seen: Tally, publisher: str, seq: int) -> tuple[LifeEvent, ...]:
    return tuple(
        LifeEvent(seen.seconds(at_ns), what, actor, detail)
        for at_ns, what, actor, detail in life(history, publisher, seq)
    )


def _anomalies(seen: Tally, history: History) -> Iterator[Anomaly]:
    deliveries = seen.deliveries
    for message in unexplained_duplicates(seen)[:LISTED_MESSAGES].tolist():
        publisher, seq = seen.name(message)
        yield Anomaly(
            "duplicate",
            MessageId(publisher, seq),
            f"processed {int(seen.completions[message])} times, with no redelivery or republish to explain it",
            _life(history, seen, publisher, seq),
        )
    corrupt = np.unique(deliveries.message[deliveries.corrupt & (deliveries.message >= 0)])
    for message in corrupt[:LISTED_MESSAGES].tolist():
        publisher, seq = seen.name(message)
        yield Anomaly(
            "corrupt",
            MessageId(publisher, seq),
            "its body and its checksum disagree",
            _life(history, seen, publisher, seq),
        )
    phantoms = np.flatnonzero((deliveries.completed_ns != NEVER) & (deliveries.message < 0))
    for index in phantoms[:LISTED_MESSAGES].tolist():
        actor = seen.sessions[int(deliveries.session[index])].actor
        at_s = seen.seconds(int(deliveries.completed_ns[index]))
        yield Anomaly(
            "phantom",
            MessageId("nobody", 0),
            f"{actor} processed a message that nobody published, at {at_s:.3f} s",
            (),
        )
