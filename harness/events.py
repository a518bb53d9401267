"""What happens in a run, as frozen typed events.

The engine emits them and knows no listener; live progress, `events.jsonl`, and the reports are listeners.
The checks read the same events to join losses to faults. Times are `time.monotonic_ns()` of this machine, which all
processes of a run share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from harness.effects import UNDECLARED, Effects


class Phase(StrEnum):
    """The phases of one variant's run, in their order."""

    PROVISION = "provision"
    READY = "ready"
    DECLARE = "declare"
    SETTLE = "settle"
    TRAFFIC = "traffic"
    HEAL = "heal"
    DRAIN = "drain"
    CHECK = "check"
    REPORT = "report"
    CLEAN_UP = "clean up"


Role = Literal["publisher", "worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base: when it happened and in which variant (`guarantee`, or a control's name)."""

    at_ns: int
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantStarted(Event):
    """A variant begins: the guarantee itself, or one of its controls."""

    scenario: str
    index: int
    total: int
    settings: dict[str, str] = field(default_factory=dict)
    """What a control sets, path by path; empty for the guarantee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged(Event):
    """A phase begins (and the one before it ended)."""

    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerBooting(Event):
    """A broker is started for the variant; no such event where one that runs already is used."""

    backend: str
    reason: str
    """Why this backend, and what it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStarted(Event):
    """The broker answers: which backend and why it was chosen, and what runs."""

    backend: str
    reason: str
    endpoint: str
    nodes: tuple[str, ...]
    rabbitmq: str
    erlang: str
    image: str = ""
    image_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataFlushed(Event):
    """The broker was told to write what was declared to disk, and did: from now on a kill leaves the queues there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What the broker says of one queue. Source: rabbit_amqqueue:info."""

    name: str
    type: str
    """`classic`, `quorum` or `stream`."""
    durable: bool
    arguments: dict[str, str | int | float | bool]
    """Of its declaration."""
    policy: dict[str, str | int | float | bool]
    """The effective policy definition: what its policy and its operator policy set, merged by the broker; keys as policies name them."""
    policy_name: str
    operator_policy_name: str
    """Empty without one, like `policy_name`."""
    consumers: int
    foreign_consumers: int
    """Those on connections that are not the run's."""
    ready: int
    unacknowledged: int
    """Delivered and not settled, or waiting for a delayed retry (quorum queues of 4.3)."""
    held: int
    """Dead-lettered at least once, and kept until their target takes them (messages_dlx)."""
    node: str
    """Where it, or its leader, is."""
    state: str
    identity: str = ""
    """What changes when it is deleted and declared again (or, of a classic queue, when its node starts again); empty if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingFacts:
    """A binding that the broker has."""

    exchange: str
    destination: str
    to_exchange: bool
    routing_key: str
    arguments: dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLook(Event):
    """What the broker itself says of the run's virtual host, at one moment."""

    moment: Literal["before the traffic", "after the drain"]
    not_asked: str = ""
    """Why the broker could not be asked, in one sentence. Then `queues` holds at most what a passive declare says of the scenario's queues
    (ready, consumers), and all else is empty."""
    own_virtual_host: bool = False
    """Whether nobody else uses the virtual host, as far as is known."""
    queues: tuple[QueueFacts, ...] = ()
    exchanges: dict[str, str] = field(default_factory=dict)
    """Type by name, without those that every virtual host has."""
    alternate_exchanges: dict[str, str] = field(default_factory=dict)
    """By exchange, from arguments and policies."""
    bindings: tuple[BindingFacts, ...] = ()
    foreign_connections: tuple[str, ...] = ()
    """Names of client connections that are not the run's."""
    dead_lettered: dict[str, dict[str, int]] = field(default_factory=dict)
    """By node, how many messages it has dead-lettered or thrown away since its start: by `queue type/strategy/reason`. The strategy is
    at_most_once, at_least_once, or disabled for queues without a target; the reason is expired, maxlen, rejected or delivery_limit
    (and `confirmed`, which counts those that a target has taken at least once). Empty where the broker does not count them (before
    3.10)."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """By node, how many acknowledgements it has taken since its start; empty where the broker does not count them (before 3.10)."""
    handled: dict[str, dict[str, int]] = field(default_factory=dict)
    """By node, how many messages it has handled since its start: `received` from publishers, `routed` by exchanges to queues (one to three
    queues counts three times), `delivered`, and of these by how: consume_auto_ack, consume_manual_ack, get_auto_ack, get_manual_ack. Empty
    before 3.10; 3.10.8 leaves the last four at 0 (measured)."""
    node_started: dict[str, str] = field(default_factory=dict)
    """By node, what changes with each of its starts: its counters begin anew with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersConnected(Event):
    """Which clients that are not the run's entered its virtual host since the run came there, by the logs of the broker's nodes."""

    connections: tuple[str, ...] = ()
    """Their names; without a name the addresses of both ends, as `127.0.0.1:1 -> 127.0.0.1:2`. Without those of the readiness check."""
    not_read: str = ""
    """Why the logs do not tell, in one sentence; then `connections` is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsKept(Event):
    """Which logs of processes the variant's run left, when all of them had ended: what is missing later was lost after the run."""

    records: dict[str, int]
    """How many records each one has, by the name of its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStarted(Event):
    """Publishers were released: the zero of the timeline's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingEnded(Event):
    """The duration of a group of publishers is over: they publish nothing new."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted(Event):
    """An incarnation of a publisher or worker began. Names are like `worker-2`; incarnations count from 1."""

    role: Role
    actor: str
    incarnation: int
    pid: int
    host: str = ""
    """The machine it runs on; empty for the harness's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPaused(Event):
    """A publisher or worker was frozen."""

    actor: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResumed(Event):
    """A publisher or worker was thawed."""

    actor: str
    incarnation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited(Event):
    """An incarnation ended.

    `exit_code` is negative for a signal, as subprocess has it. `cause` tells an end asked for by the engine
    (`stop`), one done by a fault (`fault`, with its id), a scripted crash on a poison message (`crash`), a natural one
    (`finished`), and one that nobody asked for (`unexpected`: the run is an infrastructure error).
    """

    role: Role
    actor: str
    incarnation: int
    exit_code: int
    cause: Literal["stop", "fault", "crash", "finished", "unexpected"]
    fault: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostGathered(Event):
    """What was recorded on another machine was brought here, its times translated to this machine's clock."""

    host: str
    offset_ns: int
    """What its clock showed more than this machine's when the traffic began."""
    error_ns: int
    """By how much the translated times may be wrong at most."""
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLost(Event):
    """Another machine does not answer any more; what its publishers and workers did and recorded is gone."""

    host: str
    actors: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultArmed(Event):
    """A step's trigger was met; the injection begins at this time."""

    fault: int
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Event):
    """A fault has struck. `at_ns` is when the injection began (the earliest moment it can have had an effect)."""

    fault: int
    """Its id: the index of the step in the timeline, from 0."""
    action: str
    title: str
    """As the report shows it, e.g. `kill worker-2`."""
    family: str
    """The kind that it belongs to, for readers: broker, process, connection, or what another package calls its own."""
    colour: str
    targets: tuple[str, ...]
    """The actors, nodes or queues it struck."""
    struck_at_ns: int
    """When the injection returned: by then it has had its effect."""
    healable: bool
    """Whether it lasts until it is healed; False for what is over at once."""
    detail: str = ""
    clean: bool | None = None
    """For a clean stop: whether it was seen to be clean."""
    times: int = 1
    """How often it did what it does, for one that does it several times."""
    effects: Effects = UNDECLARED
    """What it may have done."""
    noun: tuple[str, str] = ("", "")
    """What it was, once and several times: `worker kill`, `worker kills`."""
    taken: int | None = None
    """How many messages it took, where the broker says so; else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMeasured(Event):
    """Who took the machine's processors from the release of the publishers until they were done; in processor seconds."""

    span_s: float
    """How long that was."""
    processors: int
    """Of all machines that had publishers or workers, the harness's own among them."""
    machine_s: float
    """All that ran on these machines."""
    harness_s: float
    """The harness itself, without publishers and workers."""
    actors_s: dict[str, float]
    """Each publisher and worker, its incarnations together."""
    busiest_machine: float = 0.0
    """Share of the time that the processors of the busiest machine were busy; 0 where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHealed(Event):
    """A fault is over: resumed, restarted, back."""

    fault: int
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMissed(Event):
    """A step never struck: its trigger was not met or it found no target. The run cannot be conclusive."""

    fault: int
    action: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorObserved(Event):
    """An AMQP error that the harness met on purpose or by the way, e.g. 406 on a second declaration."""

    code: int
    text: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """Counters so far, a few times a second. In flight is delivered and not yet settled."""

    phase: Phase
    published: int
    confirmed: int
    delivered: int
    processed: int
    acked: int
    backlog: int
    in_flight: int
    expected_messages: int | None
    """How many messages the publishers will publish in all; None when the scenario has no bound."""
    expected_copies: int | None = None
    """How many copies these will have; None as well where an earlier version recorded it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained(Event):
    """The drain ended. `complete` is False when its bound ran out first."""

    complete: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InfrastructureFailed(Event):
    """Something outside the queue's guarantee failed; one clear sentence."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something a reader should know, e.g. that a stop ended in SIGKILL after its grace."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff(Note):
    """The time limit ended the traffic before publishers had sent all that the scenario has them send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFinished(Event):
    """A variant is judged."""

    verdict: Literal["as expected", "violated", "infrastructure", "inconclusive", "interrupted"]
    headline: str


Listener = Callable[[Event], None]
"""Receives each event in order, on the engine's thread."""
