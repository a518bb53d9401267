"""Draws topologies, traffic and faults from a seed."""

from __future__ import annotations

from random import Random
from typing import Any

from harness.scenario.scenario import Scenario
from tests.oracle.shapes import SHAPES
from tests.oracle.simulator.broker import BrokerPlan
from tests.oracle.simulator.faults import Fault
from tests.oracle.simulator.republisher import Onward
from tests.oracle.simulator.run import Plan
from tests.oracle.simulator.world import MS, S


def draw(shape: str, seed: int, *, faults: bool = True) -> Plan:
    """Draw a scenario of a shape, what strikes it, and what the broker is like."""
    random = Random(f"{shape}/{seed}")
    document = SHAPES[shape](random)
    onward = {group: Onward(to, "", to) for group, to in document.pop("onward", {}).items()}
    document["name"] = f"{shape} {seed}"
    slower = 40 if random.random() < 0.25 else 1
    for settings in document["queues"].values():
        _slow_down(settings, slower)
    messages = random.choice([8, 20, 60])
    many = random.random() < 0.3
    publishers: dict[str, Any] = {
        "count": 2 if many else 1,
        "messages": messages,
        "confirms": random.choice([False, {"window": 1}, {"window": 5}, {"window": 50}, {"window": 50}]),
        "persistent": random.random() < 0.8,
        "mandatory": random.random() < 0.2,
        "unconfirmed": random.choice(["republish", "republish", "drop"]),
        "rate": random.choice([500.0, 2000.0, 5000.0]) / slower,
    }
    publishers |= document.pop("to")
    document["publishers"] = publishers
    _let_exchanges_pass(document, random)
    document["workers"] = [_workers(name, random, slower) for name in document.pop("consumed")]
    never_fail = document.pop("never_fail", [])
    for group in document["workers"]:
        if group["name"] in onward:
            group |= {"acks": "manual", "fails": []}
        if group["name"] in never_fail:
            group["fails"] = []
    document["backlog_first"] = random.random() < 0.15
    scenario = Scenario.model_validate(document)
    span = round(messages / publishers["rate"] * S) + 20 * MS
    struck = tuple(sorted(_faults(scenario, span, random), key=lambda each: each.at_ns)) if faults else ()
    version = random.choice(["4.0.5", "4.0.5", "3.10.8", "3.8.9"])
    policies: dict[str, dict[str, Any]] = {}
    answers = random.random() < 0.9
    if answers and random.random() < 0.1:  # nobody can know of a policy that the broker does not say
        policies[random.choice(list(scenario.queues))] = random.choice([{"max-length": 3}, {"message-ttl": 15}])
    broker = BrokerPlan(version, policies, counts=not version.startswith("3.8"), answers=answers)
    others = (random.choice(list(scenario.queues)),) if random.random() < 0.04 else ()
    without_leaders_ns = 800 * MS if any(fault.family == "broker" for fault in struck) else 0
    drain_ns = 400 * MS * min(slower, 8) + without_leaders_ns
    return Plan(scenario, seed, struck, broker, others, drain_ns=drain_ns, onward=onward)


def _let_exchanges_pass(document: dict[str, Any], random: Random) -> None:
    """Let some exchanges not outlast the broker; those that are published to only without confirms, which never come from then on."""
    publishers = document["publishers"]
    for name, exchange in document.get("exchanges", {}).items():
        passes = random.random() < 0.15
        if passes and (name != publishers.get("exchange") or publishers["confirms"] is False):
            exchange["durable"] = False


def _slow_down(queue: dict[str, Any], times: int) -> None:
    """Let everything take longer, so that what is far apart can be told from what is close."""
    if "message_ttl" in queue:
        queue["message_ttl"] *= times
    arguments = queue.get("arguments", {})
    for name in ("x-message-ttl", "x-expires"):
        if name in arguments:
            arguments[name] *= times


def _workers(queue: str, random: Random, slower: int) -> dict[str, Any]:
    acks = random.choice(["manual", "manual", "manual", "automatic", "early"])
    group: dict[str, Any] = {
        "name": f"w{queue}",
        "queue": queue,
        "count": random.choice([1, 1, 2]),
        "acks": acks,
        "prefetch": random.choice([1, 3, 20]),
        "work": random.choice([0.0, 0.001, 0.004]) * min(slower, 10),
    }
    if random.random() < 0.4:
        by = random.choice(["reject", "reject", "requeue"])
        once = by == "requeue"
        group["fails"] = {"every": random.choice([2, 3, 7]), "by": by, "first_delivery_only": once}
    return group


def _faults(scenario: Scenario, span: int, random: Random) -> list[Fault]:
    found = []
    workers = [actor for group in scenario.workers for actor in group.actors]
    publishers = [actor for group in scenario.publishers for actor in group.actors]
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        at = random.randrange(1, max(2, span))
        back = random.choice([5 * MS, 30 * MS, span // 2])
        kind = random.choice(["worker", "worker", "publisher", "close", "broker", "broker", "purge"])
        match kind:
            case "worker":
                found.append(
                    Fault(
                        random.choice(["kill", "kill", "close", "timeout", "stop", "pause"]),
                        random.choice(workers),
                        at,
                        back,
                    )
                )
            case "publisher":
                found.append(Fault(random.choice(["kill", "close"]), random.choice(publishers), at, back))
            case "close":
                found.append(Fault("close", "broker", at))
            case "broker" if not any(each.target == "broker" for each in found):
                node = random.randrange(scenario.broker.nodes)
                found.append(Fault(random.choice(["kill", "restart"]), "broker", at, 40 * MS, node))
            case "purge":
                found.append(Fault("purge", random.choice(list(scenario.queues)), at))
    return found
