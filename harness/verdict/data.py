"""The verdict: what a run proved, message by message. Every figure in a report comes from here or from the history.

Times are seconds relative to the release of the publishers (the zero of the timeline), unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.errors import ExitCode
from harness.verdict.times import BrokerDown, LatencyDetail, Outage, Percentiles, Schedule

SCHEMA_VERSION = 3
"""Since 2 the fates, duplicates and losses count copies, not messages. Since 3 a time in which a worker was at work is no outage of workers."""


class Fate(StrEnum):
    """What became of a copy: a message in one of the queues that it was put in. Every copy has exactly one."""

    PROCESSED = "processed"
    """Completed at least once, promised."""
    RECOVERED = "recovered"
    """Indeterminate (never confirmed), and processed all the same."""
    RESURRECTED = "resurrected"
    """Nacked or returned, and processed all the same."""
    LOST = "lost"
    """Promised, not processed, in no queue, and no policy of the queue explains it."""
    NEVER_PROMISED = "never promised"
    """Indeterminate, nacked or returned, and not processed: the publisher knows."""
    STRANDED = "stranded"
    """Still in a work queue when the drain ended."""
    DEAD_LETTERED = "dead-lettered"
    """At rest in a queue that nothing leads out of to a consumer."""
    EXPIRED = "expired"
    """By a time to live, without a dead letter target."""
    DROPPED = "dropped"
    """By a length limit, a delivery limit, a reject, a dead letter target that leads nowhere, or a cycle of dead letters."""
    IN_TRANSIT = "in transit"
    """In a delay or retry queue when the drain ended."""
    REMOVED = "removed"
    """Purged, or its queue was deleted with it."""
    RETAINED = "retained"
    """The broker holds it for a dead letter target that refuses it."""


DONE = (Fate.PROCESSED, Fate.RECOVERED, Fate.RESURRECTED)
"""The fates of what was done."""


class Outcome(StrEnum):
    """A variant's or a run's result, in words."""

    AS_EXPECTED = "as expected"
    VIOLATED = "violated"
    INFRASTRUCTURE = "infrastructure"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `chaos` for it."""
        return {
            Outcome.AS_EXPECTED: ExitCode.AS_EXPECTED,
            Outcome.VIOLATED: ExitCode.VIOLATED,
            Outcome.INFRASTRUCTURE: ExitCode.INFRASTRUCTURE,
            Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
            Outcome.INTERRUPTED: ExitCode.INTERRUPTED,
        }[self]


class Place(StrEnum):
    """Where a lost message was when it was lost."""

    PUBLISHER = "publisher"
    EXCHANGE = "exchange"
    BROKER = "broker"
    WORKER = "worker"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MessageId:
    """Who a message is, for people: `publisher-1#42`."""

    publisher: str
    seq: int

    def __str__(self) -> str:
        """Format as `chaos trace` takes it."""
        return f"{self.publisher}#{self.seq}"


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """One event in a message's life."""

    at_s: float
    what: str
    """E.g. `published (attempt 1)`, `delivered`, `completed`."""
    actor: str
    """Process and incarnation, e.g. `worker-2/1`."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LostMessage:
    """One lost message: which, where it was, what took it, what would have kept it."""

    message: MessageId
    queue: str
    place: Place
    actor: str
    """The process or node that held it; empty if unknown."""
    fault: int | None
    """Id of the fault that took it; None if none did (e.g. an unroutable message)."""
    setting: str
    """The setting that would have kept it, e.g. `workers.acks: manual`."""
    last_seen_s: float
    life: tuple[LifeEvent, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Messages that were last seen at about the same time."""

    at_s: float
    count: int


@dataclass(frozen=True, slots=True)
class LossCause:
    """Lost messages that share place, holder, fault and remedy."""

    place: Place
    actor: str
    fault: int | None
    fault_title: str
    setting: str
    """What would have kept them, in words; why nothing is named, where nothing is."""
    settings: tuple[tuple[str, ...], ...]
    """The same as paths: each entry would have kept them, all of its settings together. Empty where nothing is named."""
    count: int
    sentence: str
    """One sentence: how many, where, taken by what and when, what would have kept them."""
    last_seen: tuple[Seen, ...]
    """When the records last speak of them, put together into few times; the counts add up to `count`."""


class DoneTwice(StrEnum):
    """Why a copy was done more than once."""

    UNEXPLAINED = "unexplained"
    REPUBLISHED = "published again"
    REQUEUED = "requeued"
    DIED = "dead-lettered"
    CONNECTION = "connection lost"
    CHANNEL = "channel closed"
    CANCELLED = "consumer cancelled"
    UNWRITTEN = "ack not written"
    DIED_AGAIN = "death not written"
    CLUSTER = "node struck"
    AT_LEAST_ONCE = "dead-lettered at least once"
    UNDECLARED = "fault without effects"


@dataclass(frozen=True, slots=True)
class DuplicateCause:
    """Copies that were done more than once, for the same reason, by the same fault, from holders that ended alike."""

    reason: DoneTwice
    actor: str
    """The worker that had held them, or the first three of several; empty if unknown."""
    fault: int | None
    """The step that brought it about; None if none did."""
    fault_title: str
    settings: tuple[str, ...]
    """Each of which would have prevented it."""
    count: int
    sentence: str
    """One sentence: how many, why, what would have prevented it."""


@dataclass(frozen=True, slots=True)
class RepeatedMessage:
    """One message of which a copy was done more than once: which, how often, and why."""

    message: MessageId
    queue: str
    """That the copy was first put in."""
    reason: DoneTwice
    actor: str
    """As in `DuplicateCause`."""
    times: int
    """How often it was done."""
    life: tuple[LifeEvent, ...]


@dataclass(frozen=True, slots=True)
class NotDone:
    """Copies that expired, were dropped or removed, or are retained: by the same queue, reason and fault."""

    fate: Fate
    queue: str
    fault: int | None
    """The step that removed them; None if none did."""
    possible: bool
    """Whether they may as well have been lost."""
    by: str
    """What did it, as in `by the length limit of tasks`."""
    settings: tuple[str, ...]
    """Each of which would have kept them."""
    count: int
    sentence: str
    """One sentence: how many, by what, what would have kept them."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A message that breaks another guarantee: phantom, corrupt, or an unexplained duplicate."""

    kind: str
    message: MessageId
    sentence: str
    life: tuple[LifeEvent, ...]


@dataclass(frozen=True, slots=True)
class ExpectationResult:
    """One expectation, held against what was observed."""

    path: str
    """As in the scenario file, e.g. `lost` or `outage.workers`."""
    expected: str
    observed: str
    holds: bool | None
    """None: nothing was observed that it could be held against."""
    stated: bool
    """Whether the scenario says it; else it is one that always holds."""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class FaultOutcome:
    """What a fault met and what came after it."""

    fault: int
    action: str
    title: str
    family: str
    colour: str
    injected_s: float | None
    """None: it never struck."""
    healable: bool
    """Whether it lasts until it is healed; False for what is over at once, and for a step that never struck."""
    healed_s: float | None
    at_risk: int | None
    """Messages in reach of it when it struck; None for an action that puts none at risk."""
    taken: int
    """Lost messages joined to it."""
    recovery_s: float | None
    """From its heal to the next completed work (or confirm, without workers); None if there was none after it."""
    clean: bool | None = None
    times: int = 1
    """How often it was done, for an action that is done several times."""
    missed: str = ""
    """Why it never struck."""
    trigger: str = ""
    """When it was to strike: `at 3s`, or `after 2000 confirmed`."""
    late_s: float | None = None
    """From the moment at which its trigger was met to the begin of its injection; None where the history does not tell that moment."""
    counted: dict[str, int] = field(default_factory=dict)
    """What its trigger counts, as far as it had come when the injection began."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What one worker did, over all its incarnations."""

    actor: str
    group: str
    delivered: int
    processed: int
    """Deliveries completed."""
    redelivered: int
    acked: int
    rejected: int
    incarnations: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The flow: up to `unconfirmed` in messages, from `duplicates` on in copies."""

    published: int = 0
    """Distinct messages."""
    copies: int = 0
    """Copies: a message in each queue that it was put in. `fates` adds up to them."""
    publishes: int = 0
    """Publishes, republishes included."""
    confirmed: int = 0
    nacked: int = 0
    returned: int = 0
    indeterminate: int = 0
    """Messages never settled: no attempt was confirmed, nacked or returned."""
    unconfirmed: int = 0
    """Messages whose publisher asked for no confirms."""
    deliveries: int = 0
    redelivered: int = 0
    completions: int = 0
    duplicates: int = 0
    """Copies completed more than once."""
    unexplained_duplicates: int = 0
    phantom: int = 0
    corrupt: int = 0
    misrouted: int = 0
    """Deliveries from, and finds in, queues that no life of the message leads to."""
    kept_after_ack: int = 0
    """Copies that were acknowledged, and found in a queue all the same."""
    out_of_order: int = 0
    fates: dict[Fate, int] = field(default_factory=dict)
    possible: dict[Fate, int] = field(default_factory=dict)
    """Those of a fate that may as well have been lost, or have a fate of `instead`; fates without any are left out."""
    instead: dict[Fate, int] = field(default_factory=dict)
    """Those of `possible` that have this fate, if not the other one: of them none was lost. Fates without any are left out."""

    @property
    def perhaps_lost(self) -> int:
        """Copies of other fates that may as well have been lost."""
        return sum(self.possible.values()) - sum(self.instead.values())

    def least(self, fate: Fate) -> int:
        """Return how many copies surely have a fate."""
        return self.fates.get(fate, 0) - self.possible.get(fate, 0)

    def most(self, fate: Fate) -> int:
        """Return how many copies can have a fate."""
        perhaps = self.perhaps_lost if fate is Fate.LOST else self.instead.get(fate, 0)
        return self.fates.get(fate, 0) + perhaps

    @property
    def promised_copies(self) -> int:
        """Copies of promised messages: the base of the share that was lost."""
        others = (Fate.NEVER_PROMISED, Fate.RECOVERED, Fate.RESURRECTED)
        return sum(count for fate, count in self.fates.items() if fate not in others)


class Limit(StrEnum):
    """What kept the traffic from being faster."""

    HARNESS = "harness"
    """A publisher or worker that kept a processor busy."""
    MACHINE = "machine"
    BROKER = "broker"
    SCENARIO = "scenario"
    """Its rates and times of work, or faults."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who took the machine's processors while the publishers published; shares of all processors, 0 to 1."""

    limit: Limit
    sentence: str
    span_s: float
    processors: int
    machine: float
    publishers: float
    workers: float
    harness: float
    """The harness itself."""
    others: float
    """All else, the broker among it."""
    busiest: str
    """The publisher or worker that took most; empty if there was none."""
    busiest_share: float
    """Of one processor."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Another machine that publishers and workers ran on."""

    name: str
    actors: tuple[str, ...]
    records: int | None
    """How many it recorded; None if it was lost, and its records with it."""
    clock_offset_s: float | None
    """What its clock showed more than the harness's when the traffic began; taken off the times of its records."""
    clock_error_s: float | None
    """By how much the times of its records may still be wrong at most."""
    lost: str = ""
    """Why it counts as lost; empty if it was there to the end."""


@dataclass(frozen=True, slots=True)
class VariantVerdict:
    """What one variant proved: the guarantee, or a control."""

    name: str
    description: str
    settings: dict[str, str]
    outcome: Outcome
    headline: str
    """The verdict in one line of at most 120 characters: the counts first, then at most two reasons."""
    reasons: tuple[str, ...]
    """Why it is violated, infrastructure or inconclusive; empty when as expected."""
    counts: Counts
    promised: int
    """Messages that had to arrive: the base of the loss rate."""
    loss_rate_below: float | None
    """With nothing lost: the 95% upper bound on the loss rate (rule of three, exact: 1 - 0.05 ** (1 / promised))."""
    expectations: tuple[ExpectationResult, ...]
    causes: tuple[LossCause, ...]
    duplicate_causes: tuple[DuplicateCause, ...]
    """The counts add up to the duplicates."""
    not_done: tuple[NotDone, ...]
    lost: tuple[LostMessage, ...]
    """The first of them; `counts` says how many there are."""
    anomalies: tuple[Anomaly, ...]
    """The first of them."""
    faults: tuple[FaultOutcome, ...]
    outages: tuple[Outage, ...]
    confirm_latency: Percentiles | None
    completion_latency: Percentiles | None
    confirm_latency_detail: LatencyDetail | None
    completion_latency_detail: LatencyDetail | None
    workers: tuple[WorkerFigures, ...]
    by_queue: dict[str, dict[Fate, int]]
    by_publisher: dict[str, dict[Fate, int]]
    by_worker: dict[str, dict[Fate, int]]
    """By the worker that completed it first, else the one that had it last; an empty name for what was never delivered."""
    deliveries_each: dict[int, int]
    """How many messages were delivered never, once, twice, ...; the highest number stands for all above as well."""
    fairness: float | None
    """Jain's index of the deliveries that each worker completed: 1 for equal shares, 1/n if one of n did all; None for less than two
    workers (R. Jain, D. Chiu, W. Hawe: A Quantitative Measure of Fairness, 1984)."""
    drained: bool
    notes: tuple[str, ...]
    duration_s: float
    backend: str = ""
    rabbitmq: str = ""
    load: Load | None = None
    """None where it was not measured."""
    machines: tuple[Machine, ...] = ()
    """Those that the traffic was spread over; none if all ran on the harness's own."""
    done_twice: tuple[RepeatedMessage, ...] = ()
    """The first of those that were done more than once; `counts` says how many copies there are."""
    not_looked_at: tuple[str, ...] = ()
    """What nobody asked, or could ask, and might have explained something."""
    completion_due_latency: Percentiles | None = None
    """From when a message was due by its publisher's rate to the completion of its work; None where no publisher has a rate."""
    completion_due_latency_detail: LatencyDetail | None = None
    schedule: Schedule | None = None
    """None where no publisher has a rate, and where a machine was lost."""
    broker_down: BrokerDown | None = None
    """None where no broker was started."""

    @property
    def explained(self) -> tuple[str, ...]:
        """The full sentences: what took the lost, what expired, was dropped or removed, or is retained, and what was done twice."""
        groups = (self.causes, self.not_done, self.duplicate_causes)
        return tuple(each.sentence for group in groups for each in group)


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """What a run proved: the guarantee beside its controls."""

    scenario: str
    description: str
    file: str
    outcome: Outcome
    headline: str
    seed: int
    replay: str
    """The command that runs the same schedule again."""
    started_at: str
    """Wall clock, ISO 8601 with offset."""
    duration_s: float
    versions: dict[str, str]
    """harness, python, pika, rabbitmq, erlang, image, image_digest, platform."""
    variants: tuple[VariantVerdict, ...]
    schema_version: int = SCHEMA_VERSION


LISTED_MESSAGES = 1000
"""Most messages of each kind (lost, done more than once, anomalies) that a verdict lists one by one; the history has all."""


def worst(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of the whole: interrupted, then violated, infrastructure, inconclusive, as expected."""
    for outcome in (Outcome.INTERRUPTED, Outcome.VIOLATED, Outcome.INFRASTRUCTURE, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.AS_EXPECTED
