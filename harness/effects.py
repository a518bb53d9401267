"""What a fault may do, as it declares it: the judge and the reports ask this, and know no fault by its name.

Source of what a stop or a kill of a node keeps: the RabbitMQ documentation on durability, and measurements on 3.8 to 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cuts(StrEnum):
    """Whose connections to the broker a fault may end."""

    NOBODY = "nobody"
    TARGETS = "its targets"
    EVERYONE = "everyone"


class AtRisk(StrEnum):
    """Which messages are in a fault's reach when it strikes. One that should meet some and meets none proves nothing."""

    NOTHING = "nothing"
    UNDONE = "undone"
    """All that were published and not completed, wherever they are."""
    WAITING = "waiting"
    """Those that wait in the queues that it strikes, or in one behind an exchange."""
    HELD = "held"
    """What the processes that it strikes hold: not completed by a worker, or not settled at a publisher."""
    ON_CUT_CONNECTIONS = "on cut connections"
    """What was held on each connection that it cut, at the loss of that connection."""


class Takes(StrEnum):
    """What may be gone from a queue after a fault, by what RabbitMQ promises and what was measured."""

    NOTHING = "nothing"
    WAITING = "waiting"
    """What waits in the queues that it strikes."""
    NOT_DURABLE = "not durable"
    """What does not outlast a node: queues that are not durable, and transient messages of classic queues."""
    ANYTHING = "anything"


class Becomes(StrEnum):
    """What becomes of a node or a process that is struck."""

    UNCHANGED = "unchanged"
    KILLED = "killed"
    """Ends at once, as by SIGKILL."""
    STOPPED = "stopped"
    """Ends in order."""
    FROZEN = "frozen"
    """Stands still until it is thawed."""
    ISOLATED = "isolated"
    """Runs, and does not reach the other nodes until that is healed."""
    THAWED = "thawed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a fault may do; the defaults are those of a fault that harms nothing."""

    cuts: Cuts = Cuts.NOBODY
    cuts_until_healed: bool = False
    """Whether connections may be lost until it is healed; False: only by the strike itself."""
    at_risk: AtRisk = AtRisk.NOTHING
    takes: Takes = Takes.NOTHING
    node: Becomes = Becomes.UNCHANGED
    """What becomes of the nodes among its targets."""
    process: Becomes = Becomes.UNCHANGED
    """What becomes of the publishers and workers among its targets."""
    claims_broker: bool = False
    """Whether it acts on the broker as a whole: two of these are never in force at once."""
    declared: bool = True
    """False where a fault declares nothing."""

    @property
    def ends_node(self) -> bool:
        """Whether it takes a node of the broker down."""
        return self.node in (Becomes.KILLED, Becomes.STOPPED)

    @property
    def freezes(self) -> bool:
        """Whether it has nodes or processes stand still."""
        return Becomes.FROZEN in (self.node, self.process)

    @property
    def thaws(self) -> bool:
        """Whether it lets nodes or processes go on that stood still."""
        return Becomes.THAWED in (self.node, self.process)

    @property
    def strikes_node(self) -> bool:
        """Whether a node of the broker is gone, or out of reach of the others, for a while."""
        return self.node not in (Becomes.UNCHANGED, Becomes.THAWED)


def on_node(becomes: Becomes) -> Effects:
    """Return what a fault may do that stops, kills, freezes or thaws a node: one that goes or stands still costs everyone the connection."""
    if becomes is Becomes.THAWED:
        return Effects(node=becomes, claims_broker=True)
    return Effects(
        cuts=Cuts.EVERYONE,
        cuts_until_healed=True,
        at_risk=AtRisk.UNDONE,
        takes=Takes.NOTHING if becomes is Becomes.FROZEN else Takes.NOT_DURABLE,
        node=becomes,
        claims_broker=True,
    )


def on_process(becomes: Becomes) -> Effects:
    """Return what a fault may do that stops, kills, freezes or thaws a publisher or worker."""
    if becomes is Becomes.THAWED:
        return Effects(process=becomes)
    return Effects(cuts=Cuts.TARGETS, cuts_until_healed=True, at_risk=AtRisk.HELD, process=becomes)


HARMLESS = Effects()
UNDECLARED = Effects(
    cuts=Cuts.EVERYONE,
    cuts_until_healed=True,
    at_risk=AtRisk.UNDONE,
    takes=Takes.ANYTHING,
    claims_broker=True,
    declared=False,
)
"""What a fault that declares nothing is taken for: it may cut every connection and take any message."""
