"""Topologies of kinds that people build, each drawn with settings of its own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.oracle.simulator.queues import BODY_BYTES

Shape = dict[str, Any]
"""Queues, exchanges, bindings; `to` is what publishers have of it, `consumed` the queues with workers.

Workers in the groups that `never_fail` names reject nothing: what they reject would come back to them again and again.
"""


def queue(random: Random, **settings: Any) -> dict[str, Any]:
    """A queue: some are quorum queues, a few are not durable, and some say in arguments what others say in keys."""
    made: dict[str, Any] = {}
    if random.random() < 0.3:
        made["type"] = "quorum"
    elif random.random() < 0.1:
        made["durable"] = False
    arguments = settings.pop("arguments", {})
    if random.random() < 0.3:
        arguments |= _as_arguments(settings)
    return made | settings | ({"arguments": arguments} if arguments else {})


def _as_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Say the same in arguments, and take it out of the keys."""
    arguments: dict[str, Any] = {}
    if isinstance(target := settings.get("dead_letter"), str):
        del settings["dead_letter"]
        arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target}
    if "message_ttl" in settings:
        arguments["x-message-ttl"] = round(settings.pop("message_ttl") * 1000)
    if "max_length" in settings:
        arguments["x-max-length"] = settings.pop("max_length")
    if "overflow" in settings:
        arguments["x-overflow"] = settings.pop("overflow")
    return arguments


def fan(name: str, queues: list[str]) -> Shape:
    """A fan-out exchange."""
    return {
        "exchanges": {name: {"type": "fanout"}},
        "bindings": [{"exchange": name, "queue": each} for each in queues],
    }


def ttl(random: Random) -> float:
    return random.choice([0.005, 0.02, 0.08])


def plain(random: Random) -> Shape:
    limits = {"message_ttl": ttl(random)} if random.random() < 0.3 else {}
    return {"queues": {"tasks": queue(random, **limits)}, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def two_queues(random: Random) -> Shape:
    """Publishers send to two queues in turn."""
    queues = {"a": queue(random), "b": queue(random, message_ttl=ttl(random))}
    return {"queues": queues, "to": {"to": ["a", "b"]}, "consumed": random.choice([["a", "b"], ["a"]])}


def dead_letters(random: Random) -> Shape:
    queues = {"tasks": queue(random, dead_letter="dead"), "dead": queue(random)}
    return {"queues": queues, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def fan_out(random: Random) -> Shape:
    queues = {"a": queue(random), "b": queue(random), "c": queue(random, message_ttl=ttl(random))}
    consumed = random.choice([["a", "b"], ["a", "b", "c"]])
    return {"queues": queues, **fan("fan", list(queues)), "to": {"exchange": "fan", "routing_key": "k"}} | {
        "consumed": consumed
    }


def siblings(random: Random) -> Shape:
    """One queue of a fan-out dead-letters to the other."""
    queues = {"a": queue(random, dead_letter="b"), "b": queue(random)}
    return {"queues": queues, **fan("fan", ["a", "b"]), "to": {"exchange": "fan", "routing_key": "k"}} | {
        "consumed": ["a", "b"]
    }


def rivals(random: Random) -> Shape:
    """Two queues of a fan-out dead-letter to each other."""
    queues = {"a": queue(random, dead_letter="b", message_ttl=ttl(random)), "b": queue(random, dead_letter="a")}
    return {"queues": queues, **fan("fan", ["a", "b"]), "to": {"exchange": "fan", "routing_key": "k"}} | {
        "consumed": ["a", "b"]
    }


def several_targets(random: Random) -> Shape:
    queues = {
        "tasks": queue(random, dead_letter={"exchange": "split", "routing_key": "x"}),
        "audit": queue(random),
        "again": queue(random, message_ttl=ttl(random), dead_letter="late"),
        "late": queue(random),
    }
    consumed = random.choice([["tasks", "late"], ["tasks", "late", "audit"]])
    return {"queues": queues, **fan("split", ["audit", "again"]), "to": {"to": "tasks"}, "consumed": consumed}


def loop_with_audit(random: Random) -> Shape:
    """Each round of a retry loop leaves a copy in a queue beside it."""
    queues = {
        "tasks": queue(random, dead_letter={"exchange": "split"}),
        "retry": queue(random, message_ttl=ttl(random), dead_letter="tasks"),
        "audit": queue(random),
    }
    return {"queues": queues, **fan("split", ["retry", "audit"]), "to": {"to": "tasks"}, "consumed": ["tasks"]}


def fan_out_to_itself(random: Random) -> Shape:
    """What expires in a queue goes to a fan-out that leads to another one and back to itself: that copy is dropped as a cycle."""
    queues = {
        "tasks": queue(random, dead_letter="wait"),
        "wait": queue(random, message_ttl=ttl(random), dead_letter={"exchange": "again"}),
        "audit": queue(random),
    }
    to, consumed = random.choice(
        [("tasks", ["tasks"]), ("tasks", ["tasks", "audit"]), ("wait", ["audit"]), ("wait", ["wait"])]
    )
    return {"queues": queues, **fan("again", ["wait", "audit"]), "to": {"to": to}, "consumed": consumed} | {
        "never_fail": ["wwait"]
    }


def shared_target(random: Random) -> Shape:
    limit = {"max_length": random.choice([2, 10])} if random.random() < 0.5 else {}
    queues = {
        "a": queue(random, dead_letter="dead"),
        "b": queue(random, dead_letter="dead", message_ttl=ttl(random)),
        "dead": queue(random, **limit),
    }
    return {"queues": queues, **fan("fan", ["a", "b"]), "to": {"exchange": "fan", "routing_key": "k"}} | {
        "consumed": random.choice([["a", "b"], ["a", "b", "dead"]])
    }


def delay(random: Random) -> Shape:
    queues = {"tasks": queue(random), "parking": queue(random, message_ttl=ttl(random), dead_letter="tasks")}
    return {"queues": queues, "to": {"to": "parking"}, "consumed": ["tasks"]}


def retry(random: Random) -> Shape:
    queues = {
        "tasks": queue(random, dead_letter="retry"),
        "retry": queue(random, dead_letter="tasks", message_ttl=ttl(random)),
    }
    return {"queues": queues, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def limits(random: Random) -> Shape:
    settings: dict[str, Any] = {"max_length": random.choice([1, 5, 20])}
    settings["overflow"] = random.choice(["drop-head", "drop-head", "reject-publish"])
    if random.random() < 0.3:
        settings["arguments"] = {"x-max-length-bytes": BODY_BYTES * random.choice([1, 5, 20])}
    if random.random() < 0.4:
        settings["dead_letter"] = "dead"
    queues = {"tasks": queue(random, **settings), "dead": queue(random)}
    return {"queues": queues, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def limited_dead_letters(random: Random) -> Shape:
    """The queue of the dead letters is full: it drops its oldest, or refuses what nobody is told of."""
    source = {"message_ttl": ttl(random)} if random.random() < 0.7 else {}
    target: dict[str, Any] = {"max_length": random.choice([2, 10])}
    target["overflow"] = random.choice(["drop-head", "reject-publish"])
    if random.random() < 0.2:
        target["arguments"] = {"x-max-length-bytes": BODY_BYTES * random.choice([2, 10])}
    queues = {"tasks": queue(random, dead_letter="dead", **source), "dead": queue(random, **target)}
    return {"queues": queues, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def limited_delay(random: Random) -> Shape:
    """A delay queue that does not hold all that comes to it: the oldest leave it before their time."""
    parking = {"message_ttl": ttl(random), "max_length": random.choice([2, 10]), "dead_letter": "tasks"}
    queues = {"tasks": queue(random), "parking": queue(random, **parking)}
    return {"queues": queues, "to": {"to": "parking"}, "consumed": ["tasks"]}


def cycle(random: Random) -> Shape:
    queues = {
        "a": queue(random, message_ttl=ttl(random), dead_letter="b"),
        "b": queue(random, message_ttl=ttl(random), dead_letter="a"),
    }
    return {"queues": queues, "to": {"to": "a"}, "consumed": ["a"]}


def delivery_limits(random: Random) -> Shape:
    settings: dict[str, Any] = {"type": "quorum", "delivery_limit": random.choice([0, 1, 3])}
    target = {"dead_letter": "dead"} if random.random() < 0.5 else {}
    queues = {"tasks": settings | target, "dead": queue(random)}
    return {"queues": queues, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def nowhere(random: Random) -> Shape:
    """The dead letter exchange has no queue for these keys."""
    queues = {"tasks": queue(random, dead_letter={"exchange": "dlx", "routing_key": "x"}), "dead": queue(random)}
    return {
        "queues": queues,
        "exchanges": {"dlx": {"type": "direct"}},
        "bindings": [{"exchange": "dlx", "queue": "dead", "routing_key": "y"}],
        "to": {"to": "tasks"},
        "consumed": ["tasks"],
    }


def alternate(random: Random) -> Shape:
    """What an exchange has no queue for goes on to another one."""
    known = random.random() < 0.5
    return {
        "queues": {"tasks": queue(random), "rest": queue(random)},
        "exchanges": {
            "first": {"type": "topic", "arguments": {"alternate-exchange": "other"}},
            "other": {"type": "fanout"},
        },
        "bindings": [
            {"exchange": "first", "queue": "tasks", "routing_key": "mail.#"},
            {"exchange": "other", "queue": "rest"},
        ],
        "to": {"exchange": "first", "routing_key": "mail.x" if known else "news.x"},
        "consumed": ["tasks", "rest"],
    }


def unroutable(random: Random) -> Shape:
    return {
        "queues": {"tasks": queue(random)},
        "exchanges": {"first": {"type": "direct"}},
        "bindings": [{"exchange": "first", "queue": "tasks", "routing_key": "a"}],
        "to": {"exchange": "first", "routing_key": random.choice(["a", "b"])},
        "consumed": ["tasks"],
    }


def single_active(random: Random) -> Shape:
    arguments = {"x-single-active-consumer": True}
    made = {"type": "quorum"} if random.random() < 0.5 else {}
    return {"queues": {"tasks": made | {"arguments": arguments}}, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def at_least_once(random: Random) -> Shape:
    """The target of a quorum queue that dead-letters at least once may refuse."""
    source = {
        "type": "quorum",
        "dead_letter": "dead",
        "overflow": "reject-publish",
        "arguments": {"x-dead-letter-strategy": "at-least-once"},
    }
    dead: dict[str, Any] = {"max_length": random.choice([2, 1000]), "overflow": "reject-publish"}
    if random.random() < 0.4:
        dead["type"] = "quorum"
    return {"queues": {"tasks": source, "dead": dead}, "to": {"to": "tasks"}, "consumed": ["tasks"]}


def expiring(random: Random) -> Shape:
    """A queue that nobody uses is gone after a while, with what is in it."""
    queues = {"tasks": queue(random), "side": {"arguments": {"x-expires": random.choice([10, 60])}}}
    return {"queues": queues, "to": {"to": ["tasks", "side"]}, "consumed": ["tasks"]}


def cluster(random: Random) -> Shape:
    """Queues on one node of three, which may be the one that goes."""
    made = random.choice([plain, dead_letters, fan_out, siblings, two_queues, delay, at_least_once])(random)
    return made | {"broker": {"nodes": 3}}


def republishing(random: Random) -> Shape:
    """A worker takes the dead letters and publishes them once more, with the headers that they came with."""
    queues = {
        "tasks": queue(random, dead_letter="failed"),
        "failed": queue(random),
        "parking": queue(random, message_ttl=ttl(random), dead_letter="late"),
        "late": queue(random, dead_letter="end"),
        "end": queue(random),
    }
    onward = random.choice(["parking", "tasks", "late"])
    return {
        "queues": queues,
        "to": {"to": "tasks"},
        "consumed": ["tasks", "failed", "late"],
        "onward": {"wfailed": onward},
    }


SHAPES: dict[str, Callable[[Random], Shape]] = {
    each.__name__.replace("_", " "): each
    for each in (
        plain,
        two_queues,
        dead_letters,
        fan_out,
        siblings,
        rivals,
        several_targets,
        loop_with_audit,
        fan_out_to_itself,
        shared_target,
        delay,
        retry,
        limits,
        limited_dead_letters,
        limited_delay,
        cycle,
        delivery_limits,
        nowhere,
        alternate,
        unroutable,
        single_active,
        at_least_once,
        expiring,
        cluster,
        republishing,
    )
}
