"""Lies told to honest scenarios, each alone and beside a fault; what a judge must name, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.history.history import History
from harness.history.records import FOREIGN
from harness.scenario.scenario import Scenario
from harness.verdict.data import MessageId, VariantVerdict
from tests.oracle.duplicates import Reason
from tests.oracle.oracle import Oracle
from tests.oracle.simulator.broker import BrokerPlan
from tests.oracle.simulator.faults import Fault
from tests.oracle.simulator.lying import Lie, LyingBroker
from tests.oracle.simulator.run import START_NS, Plan, Simulation
from tests.oracle.simulator.truth import Key
from tests.oracle.simulator.world import MS, S

FAULT_AT_NS = 4 * S
QUIET_NS = 5 * S // 2
"""How long before and after a fault nothing is lied about: what happens close to one may be its doing."""
LAST_NS = 7 * S
"""No lies from then on: the traffic goes on for a second, so that what is done much later still comes before the end."""

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"queues": {"a": {}, "b": {}}, "to": {"to": ["a", "b"]}},
    "quorum": {"queues": {"a": {"type": "quorum"}, "b": {"type": "quorum"}}, "to": {"to": ["a", "b"]}},
    "long ttl": {"queues": {"a": {"message_ttl": 600}, "b": {}}, "to": {"to": ["a", "b"]}},
    "high limit": {
        "queues": {"a": {"max_length": 1000}, "b": {"type": "quorum", "max_length": 1000}},
        "to": {"to": ["a", "b"]},
    },
    "dead letters": {
        "queues": {"a": {"dead_letter": "dead"}, "b": {"dead_letter": "dead"}, "dead": {}},
        "to": {"to": ["a", "b"]},
    },
    "fan-out": {
        "queues": {"a": {}, "b": {}},
        "exchanges": {"fan": {"type": "fanout"}},
        "bindings": [{"exchange": "fan", "queue": "a"}, {"exchange": "fan", "queue": "b"}],
        "to": {"exchange": "fan", "routing_key": "k"},
    },
}
BESIDE: dict[str, tuple[Fault, ...]] = {
    "nothing": (),
    "a worker kill": (Fault("kill", "wa-1", FAULT_AT_NS, 200 * MS),),
    "a cut of all connections": (Fault("close", "broker", FAULT_AT_NS),),
    "a restart": (Fault("restart", "broker", FAULT_AT_NS, 300 * MS),),
    "a purge": (Fault("purge", "b", FAULT_AT_NS),),
}


@dataclass(frozen=True)
class Told:
    """A run in which the broker lied."""

    plan: Plan
    history: History
    about: frozenset[Key]
    """The messages that it lied about."""


def tell(lie: Lie, shape: str, beside: str, seed: int = 0, *, counts: bool = True, unconfirmed: str = "drop") -> Told:
    """Run a scenario with a broker that lies."""
    document = {**SHAPES[shape]}
    publishers = {
        "messages": 160,
        "rate": 20.0,
        "unconfirmed": unconfirmed,
        "confirms": {"window": 50},
        **document.pop("to"),
    }
    if lie is Lie.RETURN_FORGED:
        publishers["mandatory"] = True
    if lie is Lie.NACK_TURNED:
        limit = {"max_length": 3, "overflow": "reject-publish"}
        document["queues"] = {
            name: queue | limit if name in "ab" else queue for name, queue in document["queues"].items()
        }
    slow = 0.4 if lie in (Lie.NACK_TURNED, Lie.DROP_AFTER) else 0.02
    workers = [
        {"name": f"w{name}", "queue": name, "count": 2, "prefetch": 3 if slow > 0.1 else 20, "work": slow}
        for name in "ab"
    ]
    scenario = Scenario.model_validate(
        {"name": f"{lie} beside {beside}", "publishers": publishers, "workers": workers, **document}
    )
    plan = Plan(scenario, seed, BESIDE[beside], BrokerPlan(counts=counts))
    began = START_NS
    when: tuple[tuple[int, int], ...] = ((began, began + LAST_NS),)
    if plan.faults:
        when = ((began, began + FAULT_AT_NS - QUIET_NS), (began + FAULT_AT_NS + QUIET_NS, began + LAST_NS))
    simulation = Simulation(plan, partial(LyingBroker, lie=lie, when=when))
    history = simulation.play()
    return Told(plan, history, frozenset(simulation.truth.lies[lie]))


def named(oracle: Oracle) -> dict[str, frozenset[Key]]:
    """What the oracle accuses the broker of, by what it calls it."""
    lost = {
        name.key
        for name, each in oracle.decisions.items()
        if each.fate == "lost" and each.option and each.option.fault is None
    }
    twice = {each.life.name.key for each in oracle.duplicates.all() if each.reason is Reason.NONE}
    found: dict[str, set[Key]] = {
        "lost": lost,
        "done twice": twice,
        "misrouted": {key for key, _ in oracle.lives.misrouted},
        "corrupt": oracle.corrupt(),
        "phantom": {each.key for each in oracle.lives.phantoms},
        "acknowledged and still there": {each.key for each in oracle.duplicates.still_there()},
        "resurrected": {name.key for name, each in oracle.decisions.items() if each.fate == "resurrected"},
    }
    return {kind: frozenset(keys) for kind, keys in found.items() if keys}


def named_by(verdict: VariantVerdict) -> dict[str, frozenset[Key]]:
    """The same of a verdict."""
    found: dict[str, set[Key]] = defaultdict(set)
    for lost in verdict.lost:
        if lost.fault is None:
            found["lost"].add(_key(lost.message))
    for anomaly in verdict.anomalies:
        found[ANOMALIES.get(anomaly.kind, anomaly.kind)].add(_key(anomaly.message))
    return {kind: frozenset(keys) for kind, keys in found.items()}


ANOMALIES = {"duplicate": "done twice"}
"""What the judge calls otherwise."""


def _key(message: MessageId) -> Key:
    number = message.publisher.rpartition("-")[2]
    return (int(number) if number.isdecimal() else FOREIGN, message.seq)


CALLED = {
    Lie.DROP_BEFORE: "lost",
    Lie.DROP_AFTER: "lost",
    Lie.NACK_TURNED: "lost",
    Lie.TWICE: "done twice",
    Lie.TWICE_MARKED: "done twice",
    Lie.TWICE_LATER: "done twice",
    Lie.TWICE_ELSEWHERE: "done twice",
    Lie.MISROUTED: "misrouted",
    Lie.CORRUPT: "corrupt",
    Lie.INVENTED: "phantom",
    Lie.INVENTED_PLAUSIBLE: "phantom",
    Lie.ACK_SWALLOWED: "acknowledged and still there",
    Lie.NACK_FORGED: "resurrected",
    Lie.RETURN_FORGED: "resurrected",
}
"""What each lie is called."""
BESIDES = {Lie.MISROUTED: {"lost"}, Lie.CORRUPT: {"lost"}, Lie.ACK_SWALLOWED: {"done twice"}}
"""What may be said of the same messages as well."""


def wrong(told: Told, lie: Lie, said: dict[str, frozenset[Key]]) -> list[str]:
    """Which messages are not named, and which are named that were not lied about.

    In a fan-out a copy that comes from the sibling's queue looks like the sibling's, done twice; and a nack says nothing of single copies.
    """
    if told.plan.scenario.exchanges and lie is Lie.NACK_FORGED:
        return [f"{said} named"] * bool(said)
    if told.plan.scenario.exchanges and lie is Lie.MISROUTED:
        said = {"misrouted": said.get("done twice", frozenset())} | {"lost": said.get("lost", frozenset())}
    name, allowed = CALLED[lie], {CALLED[lie], *BESIDES.get(lie, ())}
    about = told.about
    if name == "phantom":
        invented = said.get(name, frozenset())
        plausible = {(key[0], key[1] + 1_000_000) for key in about}
        missed = plausible - invented if lie is Lie.INVENTED_PLAUSIBLE else (set() if invented or not about else about)
        beyond = {kind: sorted(keys) for kind, keys in said.items() if kind != name}
        return [f"{sorted(missed)} not named as {name}"] * bool(missed) + [f"{beyond} named"] * bool(beyond)
    got = said.get(name, frozenset())
    if lie is Lie.ACK_SWALLOWED:
        got |= said.get("done twice", frozenset())
    missed = about - got
    beyond = {kind: sorted(keys - about if kind in allowed else keys)[:5] for kind, keys in said.items()}
    beyond = {kind: keys for kind, keys in beyond.items() if keys}
    return [f"{sorted(missed)[:5]} not named as {name}"] * bool(missed) + [f"{beyond} named"] * bool(beyond)
