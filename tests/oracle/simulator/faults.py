"""What strikes a simulated run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.effects import AtRisk, Becomes, Cuts, Effects, Takes, on_node, on_process
from tests.oracle.simulator.worker import Worker

if TYPE_CHECKING:
    from tests.oracle.simulator.run import Simulation


@dataclass(frozen=True)
class Fault:
    """One step: when, what, at whom, and when it is over."""

    action: str
    """kill, close, restart, purge, delete, pause or timeout."""
    target: str
    """An actor, a queue, or `broker` for the node."""
    at_ns: int
    heal_ns: int | None = None
    """How long it lasts."""
    node: int = 0
    """With `broker` as its target: which node."""

    @property
    def over_ns(self) -> int:
        return self.at_ns + (self.heal_ns or 0)

    @property
    def shown(self) -> bool:
        """Whether the timeline has it: what the broker does by itself is in no event."""
        return self.action != "timeout"

    @property
    def family(self) -> str:
        return "broker" if self.target == "broker" and self.action != "close" else self.action

    @property
    def effects(self) -> Effects:
        """What it declares, as the harness's own faults do."""
        becomes = {"kill": Becomes.KILLED, "restart": Becomes.STOPPED, "stop": Becomes.STOPPED, "pause": Becomes.FROZEN}
        match self.action, self.target:
            case "close", "broker":
                return Effects(cuts=Cuts.EVERYONE, at_risk=AtRisk.ON_CUT_CONNECTIONS, claims_broker=True)
            case "close", _:
                return Effects(cuts=Cuts.TARGETS, at_risk=AtRisk.ON_CUT_CONNECTIONS)
            case "purge" | "delete", _:
                return Effects(at_risk=AtRisk.WAITING, takes=Takes.WAITING)
            case action, "broker":
                return on_node(becomes[action])
            case action, _:
                return on_process(becomes[action])


def strike(simulation: Simulation, number: int, fault: Fault) -> tuple[tuple[str, ...], str, int | None]:
    """Do it, and have it undone in its time; returns the names of what was struck, a detail, and how many messages it says that it took."""
    world, broker = simulation.world, simulation.broker
    heal_ns = fault.heal_ns

    def later(undo: object) -> None:
        if heal_ns is not None:

            def healed() -> None:
                undo()  # type: ignore[operator]
                simulation.healed(number, fault)

            world.after(heal_ns, healed)

    match fault.action, fault.target:
        case "kill" | "restart", "broker":
            broker.go_down(fault.node, number, kill=fault.action == "kill")
            later(lambda: broker.come_back(fault.node))
            return (broker.nodes[fault.node],), "", None
        case "close", "broker":
            links = [link for link in broker.links if not link.foreign]
            for link in links:
                broker.drop(link, client_lives=True)
            return tuple(dict.fromkeys(link.name.rpartition(".")[0] for link in links)), "", None
        case "purge", queue:
            count = broker.queues[queue].purge(number)
            return (queue,), f"{count} messages purged", count
        case "delete", queue:
            broker.queues[queue].delete(number)
            later(lambda: broker.declare(queue))
            return (queue,), "", None
    actor = simulation.actor(fault.target)
    match fault.action:
        case "kill":
            simulation.kill(actor, number)
            later(lambda: None if actor.alive else simulation.start(actor))
        case "close" if actor.link is not None:
            broker.drop(actor.link, client_lives=True)
        case "stop" if isinstance(actor, Worker):
            simulation.stop(actor, number, lambda: later(lambda: None if actor.alive else simulation.start(actor)))
        case "pause" if isinstance(actor, Worker):
            actor.pause()
            later(actor.resume)
        case "timeout" if isinstance(actor, Worker):
            actor.close_channel("PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out")
    return (fault.target,), "", None
