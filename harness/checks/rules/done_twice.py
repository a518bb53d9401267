"""Why the broker may deliver again what it had delivered: the reasons, each with a test of an honest broker that does it.

The redelivered mark is none of them: it is a hint.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from harness.verdict.data import DoneTwice


class Reason(IntEnum):
    """What brought a copy back to a worker; small numbers, for arrays."""

    NOTHING = 0
    REPUBLISHED = 1
    """Its publisher published the message again: an attempt of its own."""
    REQUEUED = 2
    """A worker rejected it with requeue."""
    DIED = 3
    """A worker rejected it, and it came back as a dead letter."""
    CONNECTION = 4
    """The connection that it had been delivered on ended before the ack for it surely arrived."""
    CHANNEL = 5
    """The broker closed the channel, as it does when the consumer timeout is over."""
    CANCELLED = 6
    """The broker cancelled the consumer, as 4.3 does for quorum queues when the consumer timeout is over."""
    UNWRITTEN = 7
    """A node was killed before it had surely written the ack to disk."""
    CLUSTER = 8
    """A node of a cluster was struck: the queue may have taken the consumer for gone, or the ack may have been lost between nodes."""
    AT_LEAST_ONCE = 9
    """Dead-lettered at least once, and a node was struck: what the target has not confirmed is sent again."""
    UNDECLARED = 10
    """A fault struck that declares no effects."""
    DIED_AGAIN = 11
    """A node was killed before the queue that had dead-lettered it had surely written that: it was there again."""


NAMES: Final = {
    Reason.NOTHING: DoneTwice.UNEXPLAINED,
    Reason.REPUBLISHED: DoneTwice.REPUBLISHED,
    Reason.REQUEUED: DoneTwice.REQUEUED,
    Reason.DIED: DoneTwice.DIED,
    Reason.CONNECTION: DoneTwice.CONNECTION,
    Reason.CHANNEL: DoneTwice.CHANNEL,
    Reason.CANCELLED: DoneTwice.CANCELLED,
    Reason.UNWRITTEN: DoneTwice.UNWRITTEN,
    Reason.CLUSTER: DoneTwice.CLUSTER,
    Reason.AT_LEAST_ONCE: DoneTwice.AT_LEAST_ONCE,
    Reason.UNDECLARED: DoneTwice.UNDECLARED,
    Reason.DIED_AGAIN: DoneTwice.DIED_AGAIN,
}
"""What the verdict calls them."""
