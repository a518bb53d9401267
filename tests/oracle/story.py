"""A run, and the life of a message in it, as a person would tell it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.events import BrokerLook, FaultInjected, ProcessExited
from harness.history.history import History
from tests.oracle.reading import Key, Records
from tests.oracle.simulator.run import Plan

MS = 1_000_000


def setting(plan: Plan) -> str:
    """The scenario of a plan, its faults, and what is special of its broker, in a few lines."""
    scenario = plan.scenario
    lines = [f"seed {plan.seed}: {scenario.name}, RabbitMQ {plan.broker.version}"]
    for name, queue in scenario.queues.items():
        settings = queue.model_dump(exclude_defaults=True)
        lines.append(f"  queue {name}: {settings or 'classic'} {dict(plan.broker.policies.get(name, {})) or ''}")
    for binding in scenario.bindings:
        lines.append(f"  {binding.exchange} -> {binding.queue} {binding.routing_key}")
    for publishers in scenario.publishers:
        lines.append(f"  publishers {publishers.model_dump(exclude_defaults=True)}")
    for workers in scenario.workers:
        lines.append(f"  workers {workers.model_dump(exclude_defaults=True)}")
    lines += [f"  at {fault.at_ns / MS:.1f} ms: {fault.action} {fault.target}" for fault in plan.faults]
    if plan.foreign_consumers:
        lines.append(f"  others consume from {', '.join(plan.foreign_consumers)}")
    return "\n".join(lines)


def life(history: History, key: Key) -> str:
    """What the records and the events say of a message, in order, beside the faults."""
    records = Records(history)
    zero = history.zero_ns
    lines = sorted((*_published(records, key), *_delivered(records, key), *_events(history)))
    found = [f"  found in {each.queue} {each.death or ''}" for each in records.found if each.key == key]
    return "\n".join([f"{key[0]}#{key[1]}:", *(f"  {(at - zero) / MS:8.2f} ms  {what}" for at, what in lines), *found])


def _published(records: Records, key: Key) -> Iterator[tuple[int, str]]:
    for publish in records.publishes.get(key, []):
        yield publish.at_ns, f"published to {publish.route} on {publish.session}, attempt {publish.attempt}"
        if publish.confirmed_ns is not None:
            yield publish.confirmed_ns, f"confirmed, attempt {publish.attempt}"
        if publish.nacked or publish.returned:
            yield (
                publish.at_ns,
                f"{'nacked ' * publish.nacked}{'returned' * publish.returned}, attempt {publish.attempt}",
            )


def _delivered(records: Records, key: Key) -> Iterator[tuple[int, str]]:
    for each in records.deliveries:
        if each.key != key:
            continue
        marks = f"{'redelivered ' * each.redelivered}{'corrupt ' * each.corrupt}"
        yield (
            each.at_ns,
            f"delivered from {each.queue} to {each.session} ({each.mode.name}) {marks}{each.death or ''} count {each.count}",
        )
        for at_ns, what in (
            (each.completed_ns, "completed"),
            (each.acked_ns, "acked"),
            (each.rejected_ns, "requeued" if each.requeued else "rejected"),
            (each.failed_ns, "failed"),
        ):
            if at_ns is not None:
                yield at_ns, f"{what} by {each.session}"
        end = records.ends.get(each.session)
        if end is not None:
            yield end.at_ns, f"{each.session} {end.how} {end.code or ''} {end.reason}"


def _events(history: History) -> Iterator[tuple[int, str]]:
    for event in history.events:
        match event:
            case FaultInjected():
                yield event.at_ns, f"FAULT {event.fault}: {event.title}"
            case ProcessExited():
                yield event.at_ns, f"{event.actor}/{event.incarnation} ended with {event.exit_code} ({event.cause})"
            case BrokerLook():
                figures = {facts.name: (facts.ready, facts.unacknowledged, facts.held) for facts in event.queues}
                yield event.at_ns, f"look: {event.not_asked or figures} {event.dead_lettered}"
