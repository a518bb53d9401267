"""Runs to render: each judged once, from a history in memory, so that its figures belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from harness.checks.combine import combine
from harness.checks.judge import judge
from harness.events import BrokerStarted, Event, FaultInjected, InfrastructureFailed, LoadMeasured, Note, ProcessStarted
from harness.faults.base import Fault
from harness.faults.registry import actions
from harness.history.history import History
from harness.scenario.load import load
from harness.scenario.resolve import resolve, to_yaml
from harness.scenario.scenario import Scenario
from harness.verdict.data import (
    DoneTwice,
    DuplicateCause,
    ExpectationResult,
    Fate,
    Machine,
    MessageId,
    NotDone,
    RepeatedMessage,
    RunVerdict,
    VariantVerdict,
)
from tests.unit.histories import MS, Story, V, scenario

HOSTILE = (
    "<script>document.title='hacked'</script></script><!--\"'`&lt;\x1b[31mred\x00\x07\u202eevil\u2066 \ufffe"
    "[bold]rich[/bold] {{ 7*7 }} $$x^2$$ |pipe\n::error::line\r\nnext @everyone #1 https://evil.example"
)

HOSTILE_QUEUE = HOSTILE.replace("\x00", "").encode(errors="ignore").decode()[:120]
"""What the name of a queue may be at worst."""


@dataclass(frozen=True)
class Sample:
    """A run, and what its reports are made from."""

    run: RunVerdict
    histories: Mapping[str, History]
    logs: Mapping[str, Mapping[str, str]]
    resolved: str = "name: sample\n"
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)


@cache
def passing() -> Sample:
    """A broker restart that loses nothing, and two controls that show the loss."""
    kept = _restarted(lost=0)
    lossy = [_restarted(lost=5, persistent=False), _restarted(lost=9)]
    wanted = scenario(publishers={"messages": 40}, expect={"lost": ">= 1"})
    not_durable = scenario(publishers={"messages": 40}, queues={"tasks": {"durable": False}}, expect={"lost": ">= 1"})
    variants = [
        (kept, judge(kept, scenario(publishers={"messages": 40}), name="guarantee")),
        (
            lossy[0],
            judge(lossy[0], wanted, name="transient messages", settings={"publishers.persistent": "false"}),
        ),
        (
            lossy[1],
            judge(lossy[1], not_durable, name="non-durable queue", settings={"queues.tasks.durable": "false"}),
        ),
    ]
    return _sample(variants, "broker restart")


@cache
def failing(lost: int = 312) -> Sample:
    """A worker is killed, and what it held is lost although nothing may be."""
    story = Story()
    for seq in range(lost + 20):
        story.sent(seq)
    for seq in range(20):
        story.process(seq, to=2)
    for seq in range(20, lost + 20):
        story.deliver(seq, to=1)
    story.kill_worker(1)
    busy = {"publisher-1": 0.2, "worker-1": 0.4, "worker-2": 0.4}
    story.event(LoadMeasured, span_s=1.0, processors=2, machine_s=1.9, harness_s=0.1, actors_s=busy)
    history = story.history()
    asked = scenario(workers={"count": 2, "acks": "automatic"})
    sample = _sample([(history, judge(history, asked, name=V))], "worker kill")
    return replace(sample, scenarios={V: asked})


@cache
def interrupted() -> Sample:
    """Interrupted in the traffic of the guarantee."""
    story = Story()
    story.sent(0)
    story.process(0)
    history = story.history(end=False)
    return _sample([(history, judge(history, scenario(), name=V))], "interrupted", interrupted=True)


@cache
def infrastructure() -> Sample:
    """The broker does not come back; nothing was published."""
    story = Story()
    story.event(InfrastructureFailed, message="the broker did not answer within 60 s of its start; see its log")
    history = story.history(end=False)
    return _sample([(history, judge(history, scenario(), name=V))], "infrastructure")


@cache
def without_variants() -> Sample:
    """Interrupted before anything was judged."""
    return _sample([], "nothing", interrupted=True)


@cache
def hostile() -> Sample:
    """A failing run in which every text from outside is hostile."""
    plain = failing(3)
    history = plain.histories[V]
    logs = tuple(replace(log, header=replace(log.header, actor=HOSTILE, names=(HOSTILE,))) for log in history.logs)
    events = tuple(_hostile_event(event) for event in history.events)
    verdict = plain.run.variants[0]
    variant = replace(
        verdict,
        name=HOSTILE,
        description=HOSTILE,
        settings={HOSTILE: HOSTILE},
        headline=HOSTILE,
        reasons=(HOSTILE,),
        notes=(HOSTILE,),
        backend=HOSTILE,
        rabbitmq=HOSTILE,
        expectations=tuple(
            replace(each, path=HOSTILE, expected=HOSTILE, observed=HOSTILE, explanation=HOSTILE)
            for each in verdict.expectations
        ),
        causes=tuple(
            replace(each, actor=HOSTILE, fault_title=HOSTILE, setting=HOSTILE, sentence=HOSTILE)
            for each in verdict.causes
        ),
        lost=tuple(
            replace(
                each,
                message=replace(each.message, publisher=HOSTILE),
                queue=HOSTILE,
                actor=HOSTILE,
                setting=HOSTILE,
                life=tuple(replace(event, what=HOSTILE, actor=HOSTILE, detail=HOSTILE) for event in each.life),
            )
            for each in verdict.lost
        ),
        faults=tuple(
            replace(each, title=HOSTILE, action=HOSTILE, colour=HOSTILE, trigger=HOSTILE) for each in verdict.faults
        ),
        load=None if verdict.load is None else replace(verdict.load, sentence=HOSTILE, busiest=HOSTILE),
        machines=(Machine(HOSTILE, (HOSTILE,), None, None, None, HOSTILE),),
        workers=tuple(replace(each, actor=HOSTILE, group=HOSTILE) for each in verdict.workers),
        by_queue={HOSTILE: verdict.counts.fates},
        by_publisher={HOSTILE: verdict.counts.fates},
    )
    run = replace(
        plain.run,
        scenario=HOSTILE,
        description=HOSTILE,
        file=HOSTILE,
        headline=HOSTILE,
        replay=HOSTILE,
        started_at=HOSTILE,
        versions={HOSTILE: HOSTILE},
        variants=(variant,),
    )
    log = f"2026-11-24 09:00:00.000000+00:00 [info] {HOSTILE}\n"
    asked = scenario(queues={HOSTILE_QUEUE: {}})
    return Sample(run, {HOSTILE: History(logs, events)}, {HOSTILE: {HOSTILE: log}}, HOSTILE, {HOSTILE: asked})


@cache
def fan_out() -> Sample:
    """Each message goes to two queues, and the worker of one of them is killed with what it held."""
    asked = scenario(
        queues={"bills": {}, "counts": {}},
        exchanges={"orders": {"type": "fanout"}},
        bindings=[{"exchange": "orders", "queue": queue} for queue in ("bills", "counts")],
        publishers={"messages": 20, "exchange": "orders", "routing_key": "k"},
        workers=[
            {"name": "worker", "queue": "bills", "count": 1},
            {"name": "counter", "queue": "counts", "acks": "automatic"},
        ],
    )
    story = Story(queues=("bills", "counts"), routes=("orders/k",))
    for seq in range(20):
        story.sent(seq)
    for seq in range(20):
        story.process(seq, to=2)
    for seq in range(20):
        tag = story.deliver(seq, to=1, queue=1)
        if seq < 13:
            story.complete(seq, tag)
    story.kill_worker(1)
    history = story.history()
    return replace(_sample([(history, judge(history, asked, name=V))], "fan-out"), scenarios={V: asked})


NOT_DONE = {
    Fate.EXPIRED: ("by the time to live of tasks", ("a longer queues.tasks.message_ttl",)),
    Fate.DROPPED: ("by the length limit of tasks", ("queues.tasks.overflow: reject-publish", "a greater limit")),
    Fate.REMOVED: ("from tasks by `purge tasks`", ()),
    Fate.RETAINED: ("by tasks for its dead letter target, which refuses them", ()),
}
"""By what copies were not done, and what would have kept them."""


@cache
def scheduled() -> Sample:
    """A publisher has a schedule: four messages are sent late, and three never."""
    story = Story()
    for seq in range(7):
        story.now = (999 + 10 * seq if seq < 3 else 1990 + 3 * seq) * MS
        story.sent(seq)
    for seq in range(7):
        story.process(seq)
    rate = {"per_second": 100, "catch_up": True}
    asked = scenario(publishers={"messages": 10, "rate": rate}, expect={"latency": {"completion_due": {"max": "< 5s"}}})
    return _sample([(story.history(), judge(story.history(), asked, name="guarantee"))], "schedule")


@cache
def every_fate() -> Sample:
    """A run in which copies have every fate, some are only possible, and some were done twice."""
    sample = failing(3)
    variant = sample.run.variants[0]
    fates = {fate: 10 + number for number, fate in enumerate(Fate)} | {Fate.LOST: 3}
    found = []
    for fate, (by, settings) in NOT_DONE.items():
        for count, possible in (
            ((fates[fate] - 2, False), (2, True)) if fate is Fate.DROPPED else ((fates[fate], False),)
        ):
            verb = "may have been " if possible else "" if fate is Fate.EXPIRED else "were "
            said = f"{count} messages {verb}{fate.value} {by}."
            found.append(NotDone(fate, "tasks", None, possible, by, settings, count, said))
    broken = [Fate.EXPIRED, Fate.DROPPED, Fate.REMOVED, Fate.RETAINED, Fate.DEAD_LETTERED]
    expectations = [
        ExpectationResult(fate.value.replace("-", "_"), "0", f"{fates[fate]}", holds=False, stated=False)
        for fate in broken
    ]
    twice = (
        DuplicateCause(
            DoneTwice.CONNECTION, "worker-1", 0, "kill worker-1", ("workers.acks: early",), 4, "4 done twice."
        ),
        DuplicateCause(DoneTwice.UNEXPLAINED, "", None, "", (), 1, "1 with no reason."),
    )
    repeated = tuple(
        RepeatedMessage(MessageId("publisher-1", seq), "tasks", reason, actor, 2, variant.lost[0].life)
        for seq, (reason, actor) in enumerate([(DoneTwice.CONNECTION, "worker-1")] * 4 + [(DoneTwice.UNEXPLAINED, "")])
    )
    counts = replace(
        variant.counts,
        published=sum(fates.values()),
        copies=sum(fates.values()),
        fates=fates,
        possible={Fate.DROPPED: 2},
        duplicates=5,
        unexplained_duplicates=1,
    )
    changed = replace(
        variant,
        counts=counts,
        not_done=tuple(found),
        duplicate_causes=twice,
        done_twice=repeated,
        expectations=(
            *(each for each in variant.expectations if each.path not in {e.path for e in expectations}),
            *expectations,
        ),
        by_queue={"tasks": fates},
    )
    return replace(sample, run=replace(sample.run, variants=(changed,)))


@cache
def huge() -> Sample:
    """A run with counts that need room."""
    sample = failing(3)
    variant = sample.run.variants[0]
    counts = replace(
        variant.counts,
        published=10**12,
        copies=10**12,
        fates={Fate.PROCESSED: 10**12 - 123_456_789, Fate.LOST: 123_456_789},
    )
    run = replace(sample.run, variants=(replace(variant, counts=counts),))
    return replace(sample, run=run)


SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@cache
def shipped(path: Path) -> Sample:
    """A small run that might be one of a scenario that ships, with every step of its timeline and all its controls."""
    loaded = load(path, actions())
    variants = []
    for variant in loaded.variants():
        asked = variant.scenario
        story = Story(queues=tuple(asked.queues))
        for seq in range(30):
            story.sent(seq)
        for seq in range(10):
            story.process(seq, to=seq % 2 + 1)
        for seq in range(10, 14):
            story.deliver(seq, to=2)
        for number, step in enumerate(asked.timeline):
            action = step.action
            assert isinstance(action, Fault)
            target = "n1" if action.family == "broker" else "worker-2"
            story.fault(action.name, target, family=action.family, fault=number)
        for seq in range(14 if variant.settings else 10, 30):
            story.process(seq, redelivered=seq < 14)
        history = story.history()
        verdict = judge(history, asked, name=variant.name, description=variant.description, settings=variant.settings)
        variants.append((history, verdict))
    return replace(_sample(variants, loaded.scenario.name), resolved=to_yaml(resolve(loaded.scenario, seed=42)))


ALL = {
    "passing": passing,
    "failing": failing,
    "interrupted": interrupted,
    "infrastructure": infrastructure,
    "without variants": without_variants,
    "hostile": hostile,
    "fan-out": fan_out,
    "every fate": every_fate,
    "huge": huge,
    "scheduled": scheduled,
}


def _restarted(*, lost: int, persistent: bool = True) -> History:
    story = Story()
    for seq in range(20):
        story.confirm(story.publish(seq, persistent=persistent))
    for seq in range(10):
        story.process(seq, to=seq % 2 + 1)
    story.restart_broker()
    for seq in range(20, 40):
        story.sent(seq)
    for seq in range(10 + lost, 40):
        story.process(seq, to=seq % 2 + 1, redelivered=seq < 20)
    story.event(Note, message="the stop took 2 s")
    return story.history()


def _sample(judged: list[tuple[History, VariantVerdict]], name: str, *, interrupted: bool = False) -> Sample:
    run = combine(
        [verdict for _, verdict in judged],
        scenario=name,
        description="What it shows.",
        file=f"scenarios/{name.replace(' ', '_')}.yaml",
        seed=42,
        replay="chaos run scenarios/sample.yaml --seed 42",
        started_at="2026-11-24T09:00:00+00:00",
        duration_s=12.5,
        versions={"harness": "0.1.0", "rabbitmq": "4.0.5"},
        interrupted=interrupted,
    )
    logs = {verdict.name: {"n1": "2026-11-24 09:00:00.100000+00:00 [info] started\n"} for _, verdict in judged}
    return Sample(run, {verdict.name: history for history, verdict in judged}, logs)


def _hostile_event(event: Event) -> Event:
    match event:
        case ProcessStarted():
            return replace(event, actor=HOSTILE)
        case BrokerStarted():
            return replace(event, nodes=(HOSTILE,))
        case FaultInjected():
            return replace(event, title=HOSTILE, targets=(HOSTILE,), colour=HOSTILE)
        case _:
            return event
