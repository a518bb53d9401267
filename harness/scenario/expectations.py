"""What must be seen at the end of a run."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from harness.scenario.base import Many, Model, OneOrMany
from harness.scenario.quantities import CountComparison, RatioComparison, ShareComparison, TimeComparison

COPY_COUNTS: Final = (
    "lost",
    "duplicates",
    "stranded",
    "in_transit",
    "processed",
    "dead_lettered",
    "expired",
    "dropped",
    "removed",
    "retained",
    "recovered",
    "resurrected",
)
"""The counts of copies of which there is at most one for each copy: a message in three queues is three of them."""


BESIDE_DONE: Final = ("dead_lettered", "expired", "dropped", "removed", "retained", "in_transit")
"""What can become of a copy by what a scenario sets, other than being done; none of it is lost."""


class LostAt(Model):
    """Where lost messages were when they were lost."""

    publisher: CountComparison | None = None
    """Sent, and not yet written to a queue."""
    exchange: CountComparison | None = None
    """Sent to where no queue is bound."""
    broker: CountComparison | None = None
    """In a queue that did not survive."""
    worker: CountComparison | None = None
    """At a worker that died before it finished, already acknowledged."""
    unknown: CountComparison | None = None
    """No cause found."""


class Percentiles(Model):
    """Bounds on a latency."""

    p50: TimeComparison | None = None
    """The median."""
    p95: TimeComparison | None = None
    """95 of 100 are at most this."""
    p99: TimeComparison | None = None
    """99 of 100 are at most this."""
    max: TimeComparison | None = None
    """The longest."""


class Latency(Model):
    """Bounds on latencies, over all messages of the run."""

    confirm: Percentiles | None = None
    """From publish to confirm."""
    completion: Percentiles | None = None
    """From publish to the completion of the work."""
    completion_due: Percentiles | None = None
    """From when a message was due to the completion of its work, over all publishers with a `rate`: message N is due N / rate after its
    publisher's first one. Unlike `completion` it counts what an outage kept a publisher from sending in time."""


class Outage(Model):
    """Longest time without service."""

    publishers: TimeComparison | None = None
    """Longest time in which messages waited for a confirm and none came."""
    workers: TimeComparison | None = None
    """Longest time in which work was waiting and no worker was at work on any."""
    broker: TimeComparison | None = None
    """Longest time in which no node of the broker answered, as steps had taken all of them down or frozen them."""


class Order(Model):
    """Order, with something left out."""

    ignore: Literal["redelivered"]
    """What does not count: messages that were delivered again, or marked as redelivered, or published again."""
    kept: bool = True
    """Whether the others must be in order, or out of it."""


class ExpectedError(Model):
    """An AMQP error that must occur."""

    code: Annotated[int, Field(ge=100, le=999)]
    """The reply code, e.g. 406."""
    text: str | None = None
    """Words that its text contains."""
    count: CountComparison | None = None
    """How often; at least once if not given."""


class Expectations(Model):
    """What must hold. With nothing said: every message that was promised is done, none invented, corrupted or done twice without a reason.

    `published`, `confirmed`, `returned`, `nacked` and `never_promised` count messages. The other counts are of copies: a message that an
    exchange routes to three queues is three copies, and so is one that is dead-lettered into three.
    """

    lost: CountComparison | None = None
    """Promised, not done, in no queue, and nothing explains it otherwise. 0 if not given."""
    lost_at: LostAt | None = None
    """The lost ones by the place where they were."""
    duplicates: CountComparison | None = None
    """Done more than once."""
    unexplained_duplicates: CountComparison | None = None
    """Done more than once with no reason for it. 0 if not given."""
    phantom: CountComparison | None = None
    """Done or found, and never published. 0 if not given."""
    corrupt: CountComparison | None = None
    """Body and checksum disagree. 0 if not given."""
    misrouted: CountComparison | None = None
    """Delivered from, or found in, a queue that nothing leads them to. 0 if not given."""
    kept_after_ack: CountComparison | None = None
    """Acknowledged, and the broker still had them: delivered again or found in a queue, with no reason for it. 0 if not given."""
    stranded: CountComparison | None = None
    """Still in a work queue when the drain ended. If not given, a run with some is inconclusive."""
    in_transit: CountComparison | None = None
    """Still in a delay or retry queue when the drain ended. If not given, a run with some is inconclusive."""
    published: CountComparison | None = None
    """Distinct messages sent."""
    confirmed: CountComparison | None = None
    """Messages that the broker confirmed."""
    processed: CountComparison | None = None
    """Done at least once."""
    redelivered: CountComparison | None = None
    """Deliveries with the redelivered bit."""
    dead_lettered: CountComparison | None = None
    """At rest at the end in a queue that nothing leads out of to a worker. 0 if not given."""
    expired: CountComparison | None = None
    """Outlived the time to live of a queue without a dead letter target. 0 if not given."""
    dropped: CountComparison | None = None
    """Thrown away by a length limit, a delivery limit or a reject, with no dead letter target that takes them. 0 if not given."""
    removed: CountComparison | None = None
    """Purged, or gone with their queue when it was deleted. 0 if not given."""
    retained: CountComparison | None = None
    """Kept by the broker for a dead letter target that refuses them (dead-lettering at least once). 0 if not given."""
    returned: CountComparison | None = None
    """Unroutable messages that came back to their publisher."""
    nacked: CountComparison | None = None
    """Messages that the broker refused."""
    never_promised: CountComparison | None = None
    """Indeterminate, nacked or returned, and not done: the publisher knows."""
    recovered: CountComparison | None = None
    """Indeterminate (never confirmed), and done all the same."""
    resurrected: CountComparison | None = None
    """Nacked or returned, and delivered all the same. 0 if not given."""
    order: bool | Order | None = None
    """Whether every publisher's messages are first completed in the order of their sequence numbers, those that came back to their queue
    and those that were published again included."""
    round_robin: bool | None = None
    """Whether deliveries went to the workers strictly in turn."""
    processed_by: dict[str, CountComparison | Many[str]] = Field(default_factory=dict)
    """By worker or group: how many messages it processed, or exactly which texts, in order."""
    dealt: Many[Many[str]] = ()
    """Which texts each worker processed, in its order, whichever worker that was: a list for each worker that got any."""
    shares: dict[str, ShareComparison] = Field(default_factory=dict)
    """By worker or group: its share of all messages processed."""
    fairness: RatioComparison | None = None
    """The busiest worker's messages divided by the least busy one's."""
    outage: Outage | None = None
    """Longest times without service."""
    latency: Latency | None = None
    """Bounds on latencies."""
    recovery: TimeComparison | None = None
    """After each fault: from its end to the next completed work. How long the fault itself lasted does not count (see outage)."""
    faster_after: dict[str, RatioComparison] = Field(default_factory=dict)
    """By action: the rate of completed work after such a step divided by the rate before it."""
    errors: OneOrMany[ExpectedError] = ()
    """AMQP errors that must occur: of steps, and where the broker closes a channel or connection of a publisher or worker, or refuses one."""
