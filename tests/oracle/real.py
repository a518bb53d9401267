"""Draws small scenarios for real brokers: the shapes of the simulated ones, with faults that the harness has."""

from __future__ import annotations

from random import Random
from typing import Any

from harness.scenario.resolve import to_yaml
from tests.oracle.shapes import SHAPES

MESSAGES = 200
SIMULATED = {"cluster", "republishing"}
"""Shapes that need more than one broker that runs already, and workers of the harness."""


def draw_real(seed: int) -> str:
    """Draw a scenario file: short, with faults by progress, and a short drain."""
    random = Random(f"{seed}/real")
    shape = random.choice(sorted(set(SHAPES) - SIMULATED))
    document = SHAPES[shape](random)
    for queue in document["queues"].values():
        _longer(queue)
    consumed: list[str] = document.pop("consumed")
    never_fail: list[str] = document.pop("never_fail", [])
    many = random.random() < 0.3
    confirms: Any = random.choice([True, {"window": 5}, {"window": 50}, {"window": 50}, False])
    document["publishers"] = {
        "count": 2 if many else 1,
        "messages": MESSAGES // 2 if many else MESSAGES,
        "confirms": confirms,
        "persistent": random.random() < 0.8,
        "mandatory": random.random() < 0.2,
        "unconfirmed": random.choice(["republish", "republish", "drop"]),
        **document.pop("to"),
    }
    if random.random() < 0.5:
        document["publishers"]["rate"] = 400
    document["workers"] = [_workers(queue, random) for queue in consumed]
    for group in document["workers"]:
        if group["name"] in never_fail:
            group["fails"] = []
    document["backlog_first"] = random.random() < 0.15
    document["client"] = random.choice(["pika", "fast"])
    timeline = [_step(random, document) for _ in range(random.choice([0, 0, 1, 1, 2]))]
    document["timeline"] = [step for step in timeline if step is not None]
    document["drain"] = {"timeout": "5s"}
    document["name"] = f"{shape} {seed}"
    if any(not queue.get("durable", True) for queue in document["queues"].values()):
        document["broker"] = {"permit": ["transient_nonexcl_queues"]}
    return to_yaml(document)


def _longer(queue: dict[str, Any]) -> None:
    """What is milliseconds in virtual time is longer on a real machine."""
    if "message_ttl" in queue:
        queue["message_ttl"] = f"{round(queue['message_ttl'] * 5000)}ms"
    arguments = queue.get("arguments", {})
    for name in ("x-message-ttl", "x-expires"):
        if name in arguments:
            arguments[name] *= 5


def _workers(queue: str, random: Random) -> dict[str, Any]:
    group: dict[str, Any] = {
        "name": f"w{queue}",
        "queue": queue,
        "count": random.choice([1, 1, 2]),
        "acks": random.choice(["manual", "manual", "manual", "automatic", "early"]),
        "prefetch": random.choice([1, 5, 20]),
        "work": random.choice(["0ms", "1ms", "3ms"]),
    }
    if random.random() < 0.4:
        by = random.choice(["reject", "reject", "requeue", "crash"])
        every = random.choice([2, 3, 7]) if by != "crash" else 97
        group["fails"] = {"every": every, "by": by, "first_delivery_only": by != "reject"}
        group["back_after"] = "100ms"
    return group


def _step(random: Random, document: dict[str, Any]) -> dict[str, Any] | None:
    """A fault that strikes while messages flow."""
    when = {"after": {"published": random.randrange(20, MESSAGES - 20)}}
    worker = random.choice(document["workers"])["name"] + "-1"
    kind = random.choice(["kill worker", "kill worker", "kill publisher", "close", "restart", "kill broker", "purge"])
    match kind:
        case "kill worker":
            return when | {"kill": {"worker": worker, "back_after": "100ms"}}
        case "kill publisher":
            return when | {"kill": {"publisher": "publisher-1", "back_after": "100ms"}}
        case "close":
            return when | {"close": "connections"}
        case "restart":
            return when | {"restart": "broker"}
        case "kill broker":
            return when | {"kill": "broker"}
        case _:
            return when | {"purge": random.choice(list(document["queues"]))}
