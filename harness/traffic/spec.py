"""What a publisher or worker process is told: one JSON file, written by the engine, read at its start.

Standard library only: the traffic processes must start fast. Durations are seconds, sizes bytes.

The engine holds a pipe to each process's standard input and writes one command a line: `go` releases a publisher that
waits after connecting, `enough` has it begin nothing new and end once what it has sent is settled (or published again
and settled), `stop` ends a process in order (a publisher stops sending and waits for what is unsettled; a
worker cancels its consumer, finishes and acknowledges what it holds, closes). End of file means that the engine is
dead: the process ends at once. SIGTERM is the same as `stop`. SIGINT is ignored (a terminal's Ctrl-C is the engine's
business). Exit codes: 0 finished or stopped in order, 70 crashed on a poison message on purpose, anything else is a
failure, with one sentence on standard error.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from harness.traffic.client_name import ClientName

CRASH_EXIT_CODE = 70


class Acks(StrEnum):
    """When a delivery is acknowledged."""

    MANUAL = "manual"
    """After the work: a delivery whose worker dies comes back."""
    AUTOMATIC = "automatic"
    """By the broker as it sends (no_ack): what a dead worker held is gone."""
    EARLY = "early"
    """By the worker on receipt, before the work: as unsafe as automatic, though it looks manual."""


@dataclass(frozen=True, slots=True)
class Target:
    """How to reach the broker: every node's address, tried in turn from `first`."""

    addresses: tuple[tuple[str, int], ...]
    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    tls: bool = False
    client_name: str = "chaos"
    """What the broker calls the connection (client property connection_name). Those of a run begin with the run's name and a slash."""
    first: int = 0
    heartbeat_s: int = 30
    reconnect_timeout_s: float = 120.0
    """How long to go on trying to (re)connect before giving up with a failure."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a publisher sends."""

    name: str
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """One incarnation of a publisher."""

    target: Target
    log: str
    """Path of the log to create, on the machine that the process runs on."""
    actor: str
    number: int
    """Its number in message identities, from 1; the same for all its incarnations."""
    incarnation: int
    routes: tuple[Route, ...]
    """Messages go to them in turn: message `seq` to route `seq % len(routes)`."""
    messages: int | None = None
    """Sequence numbers [start, messages) are published; None: until stopped."""
    start: int = 0
    """First sequence number never published by an earlier incarnation."""
    republish: tuple[tuple[int, int], ...] = ()
    """(seq, attempt) of messages that earlier incarnations left unsettled: published first, with this attempt
    number.
    """
    texts: tuple[str, ...] = ()
    """Bodies in order (message `seq` has text `seq % len`); empty: random bytes of `body_bytes`."""
    body_bytes: int = 256
    rate_per_s: float | None = None
    """Upper bound on publishes a second; None: as fast as the window allows."""
    catch_up: bool = False
    """With a rate: whether message `seq` is due `seq / rate_per_s` after the first one, and is sent late if it could not be sent then. Otherwise
    what a long pause has cost is not made up for.
    """
    origin_ns: int | None = None
    """When an earlier incarnation first published message 0, by this machine's clock (time.monotonic_ns); None if none did."""
    persistent: bool = True
    mandatory: bool = False
    confirms: bool = True
    window: int = 100
    """Most messages sent and not yet confirmed."""
    republish_unconfirmed: bool = True
    """What to do with messages that a lost connection left indeterminate, or that the broker nacked: send again with
    the next attempt number, or drop.
    """
    token: str = ""
    """Names the run in message identities."""
    seed: int = 0
    settle_timeout_s: float = 60.0
    """How long to wait for outstanding confirms when asked to stop."""
    client: ClientName = "pika"


@dataclass(frozen=True, slots=True)
class Work:
    """How long the work of a delivery takes: fixed, uniform in [low, high], or so much for each dot of the body."""

    kind: Literal["fixed", "random", "dots"] = "fixed"
    fixed_s: float = 0.0
    low_s: float = 0.0
    high_s: float = 0.0
    per_dot_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Which deliveries fail and how. A delivery fails when every condition that is given holds."""

    how: Literal["reject", "requeue", "crash"]
    text: str | None = None
    """The body contains this text."""
    every: int | None = None
    """The message's sequence number + 1 is a multiple of this."""
    share: float | None = None
    """This share of messages, chosen by seed, publisher and sequence number (the same message always)."""
    first_delivery_only: bool = False
    """Not when the redelivered bit is set."""
    attempts: int | None = None
    """So many attempts at a message fail, the first ones: see failures.py."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One incarnation of a worker."""

    target: Target
    log: str
    actor: str
    number: int
    incarnation: int
    queue: str
    queue_names: tuple[str, ...]
    """Every queue of the run; the index of `queue` in it goes into the records."""
    acks: Acks = Acks.MANUAL
    prefetch: int = 0
    """0: unlimited, as in AMQP. Without meaning for automatic acks."""
    ack_every: int = 1
    """Acknowledge in batches of this many with `multiple`; what is left over is acknowledged when the worker has
    nothing more to do.
    """
    work: Work = field(default_factory=Work)
    failures: tuple[Failure, ...] = ()
    attempted: tuple[tuple[int, int, str, int], ...] = ()
    """What its earlier processes gave back: see `failures.Attempted`."""
    token: str = ""
    """Names the run in message identities; deliveries of others are recorded as foreign."""
    seed: int = 0
    client: ClientName = "pika"


def write_spec(spec: PublisherSpec | WorkerSpec, path: Path) -> None:
    """Write a spec for a process to read, into a new file: it holds the AMQP password, so only its owner may read it.

    Raises FileExistsError.
    """
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(asdict(spec)), encoding="utf-8")


def read_publisher_spec(path: Path) -> PublisherSpec:
    """Read what `write_spec` wrote, and remove the file: it holds the password and is needed once."""
    data = _take(path)
    data["target"] = _target(data["target"])
    data["routes"] = tuple(Route(**route) for route in data["routes"])
    data["republish"] = tuple((seq, attempt) for seq, attempt in data["republish"])
    data["texts"] = tuple(data["texts"])
    return PublisherSpec(**data)


def read_worker_spec(path: Path) -> WorkerSpec:
    """Read what `write_spec` wrote, and remove the file: it holds the password and is needed once."""
    data = _take(path)
    data["target"] = _target(data["target"])
    data["queue_names"] = tuple(data["queue_names"])
    data["acks"] = Acks(data["acks"])
    data["work"] = Work(**data["work"])
    data["failures"] = tuple(Failure(**failure) for failure in data["failures"])
    data["attempted"] = tuple((publisher, seq, queue, count) for publisher, seq, queue, count in data["attempted"])
    return WorkerSpec(**data)


def _take(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return data


def _target(data: dict[str, Any]) -> Target:
    data["addresses"] = tuple((host, port) for host, port in data["addresses"])
    return Target(**data)
