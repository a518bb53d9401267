"""Cases whose truth is known, on real brokers: what the verdict says of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pika
import pytest

from harness.broker.install import find_installation
from harness.broker.protocol import Broker
from harness.broker.select import select
from harness.engine.judging import RunResult
from harness.engine.run import run
from harness.faults.registry import actions
from harness.scenario.load import load
from harness.verdict.as_json import to_json
from harness.verdict.data import Fate
from tests.integration.backends import BACKENDS
from tests.integration.cases import ACCUSES, CASES, Case, Range, Want
from tests.integration.lent import lent

pytestmark = pytest.mark.slow

TOGETHER = [
    pytest.param(*each.values, marks=[*each.marks, pytest.mark.xdist_group(f"lent {each.values[0]}")])
    for each in BACKENDS
]
"""All runs on the broker of a backend take place in one process, which starts it once."""
KNOWN = {Fate.NEVER_PROMISED, Fate.RECOVERED}
"""Fates that publishers know of: any number of them is said, and needs no word here."""


@contextmanager
def policies(broker: Broker, case: Case) -> Iterator[None]:
    for queue, definition in case.policy.items():
        assert broker.control("set_policy", f"for-{queue}", f"^{queue}$", definition).exit_code == 0
    yield
    for queue in case.policy:
        broker.control("clear_policy", f"for-{queue}")


@contextmanager
def others(broker: Broker, case: Case) -> Iterator[None]:
    """Another program that consumes from queues of a case and acknowledges everything."""
    if not case.taken_by_others:
        yield
        return
    endpoint = broker.endpoint()
    with pika.BlockingConnection(pika.URLParameters(endpoint.url)) as connection:
        channel = connection.channel()
        for queue in case.taken_by_others:
            channel.queue_declare(queue, durable=True)
            channel.basic_consume(
                queue, lambda channel, method, _properties, _body: channel.basic_ack(method.delivery_tag)
            )
        with _served(connection):
            yield


@contextmanager
def _served(connection: pika.BlockingConnection) -> Iterator[None]:
    done = Event()

    def serve() -> None:
        while not done.is_set():
            connection.process_data_events(time_limit=0.05)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def executed(case: Case, backend: str, started_broker: Callable[[str], Broker], tmp_path: Path) -> RunResult:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"name: {json.dumps(str(case))}\n{case.text}")
    loaded = load(path, actions())
    if case.own_broker:
        return run(
            loaded,
            reports=tmp_path / "reports",
            seed=7,
            make_broker=lambda settings, book: (select(backend, settings, book).broker, "test"),
        )
    broker = started_broker(backend)
    with policies(broker, case), others(broker, case):
        return run(loaded, reports=tmp_path / "reports", seed=7, make_broker=lent(broker, loaded.scenario))


@pytest.mark.parametrize("backend", TOGETHER)
@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in CASES])
def test_the_verdict_is_true(case: Case, backend: str, started_broker: Callable[[str], Broker], tmp_path: Path) -> None:
    if case.since and is_older(backend, case.since):
        pytest.skip(f"the {backend} broker is older than RabbitMQ {case.since}")
    if case.before and not is_older(backend, case.before):
        pytest.skip(f"something else is true from RabbitMQ {case.before} on")
    result = executed(case, backend, started_broker, tmp_path)
    verdict = json.loads(to_json(result.verdict))
    guarantee, *controls = verdict["variants"]
    mistakes = wrong(guarantee, case.guarantee)
    for control in controls:
        mistakes += wrong(control, case.controls[control["name"]])
    expected = case.run or case.guarantee.outcome
    if expected is not None and verdict["outcome"] != expected:
        mistakes.append(f"the run is {verdict['outcome']}, not {expected}")
    assert not mistakes, "\n".join(mistakes)


def is_older(backend: str, version: str) -> bool:
    """Whether the RabbitMQ of a backend, as it is installed, came before a version."""
    found = find_installation() if backend == "native" else None
    return found is not None and _numbers(found.version) < _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def wrong(variant: dict[str, Any], want: Want) -> list[str]:
    """What a variant's verdict says that is not true, or does not say; a sentence each."""
    found: list[str] = []
    if want.outcome is not None and variant["outcome"] != want.outcome:
        found.append(f"it is {variant['outcome']}, not {want.outcome}")
    counts = variant["counts"]
    for fate in Fate:
        if fate not in KNOWN or fate in want.fates:
            found += _within(fate, counts["fates"].get(fate, 0), want.fates.get(fate, 0))
    for name, figure in want.figures.items():
        found += _within(name, counts[name], figure)
    causes = variant["causes"]
    for place, setting in want.causes:
        # Where several groups work, the group is named as well: workers.wa.acks.
        named = re.compile(re.escape(setting).replace(r"\.", r"\.([\w-]+\.)?", 1))
        if not any(cause["place"] == place and named.search(cause["setting"]) for cause in causes):
            found.append(f"no loss at {place} that {setting} would have kept: {causes}")
    sentences = [each["sentence"] for each in (*causes, *variant["not_done"], *variant["duplicate_causes"])]
    text = " ".join([variant["headline"], *variant["reasons"], *variant["notes"], *sentences])
    found += [f"it does not say {part!r}: {text}" for part in want.says if part.lower() not in text.lower()]
    found += [f"it says {part!r}: {text}" for part in ACCUSES if part in text]
    return [*found, variant["headline"]] if found else []


def _within(what: str, figure: int, bounds: int | Range) -> list[str]:
    low, high = bounds if isinstance(bounds, tuple) else (bounds, bounds)
    return [] if low <= figure <= high else [f"{figure} {what}, not {low}" + f" to {high}" * (low != high)]
