"""How exactly steps struck, by histories in which it is plain when a trigger was met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.rules.precision import Precision, precision
from harness.checks.tally.fault_records import fault_records
from harness.checks.tally.message_table import tabulate
from harness.effects import Becomes, Effects, on_node, on_process
from harness.events import Event, TrafficStarted
from harness.faults.registry import actions
from harness.history.history import History
from harness.history.read import DTYPE, Log
from harness.history.records import Flag, Kind, LogHeader
from harness.scenario.scenario import Scenario, scenario_model
from harness.scenario.topology import Binding, Exchange, Queue
from tests.unit.histories import MS, Story, V, strike

STRIKE_NS = 60_000 * MS
"""When the step of a made history strikes: a minute after its beginning, which is far behind what windows reach."""

RESTART = on_node(Becomes.STOPPED)


def scenario(*steps: dict[str, Any]) -> Scenario:
    timeline = [{"close": "connections"} | step for step in steps]
    return scenario_model(actions()).model_validate(
        {"name": "x", "publishers": {"messages": 10}, "workers": {"count": 2}, "timeline": timeline}
    )


def log(role: str, number: int, *rows: tuple[int, Kind, int]) -> Log:
    """Records of (milliseconds, kind, messages they stand for)."""
    records = np.zeros(len(rows), dtype=DTYPE)
    for index, (at_ms, kind, count) in enumerate(rows):
        records[index]["at_ns"], records[index]["kind"], records[index]["arg"] = at_ms * MS, kind, count
        records[index]["attempt"] = 1
    return Log(LogHeader(role, f"{role}-{number}", number, 1, 1, ("tasks",)), records)


def struck(
    fault: int = 0, *, at_ns: int = STRIKE_NS, healed_ns: int | None = None, effects: Effects = RESTART
) -> list[Event]:
    """A step that strikes as it begins, and is healed at once if nothing else is said."""
    return strike(effects, "n1", fault=fault, at_ns=at_ns, struck_ns=at_ns, healed_ns=healed_ns or at_ns + 1)


def measured(logs: tuple[Log, ...], *steps: dict[str, Any], strikes: Iterable[Event] = ()) -> list[Precision]:
    """What is said of each step, late to the nanosecond."""
    events = (TrafficStarted(at_ns=0, variant=V), *(strikes or struck()))
    found = precision(tabulate(History(logs, events), scenario(*steps)), scenario(*steps), fault_records(events))
    late = [None if each.late_s is None else round(each.late_s, 9) for each in found.values()]
    return [replace(each, late_s=late_s) for each, late_s in zip(found.values(), late, strict=True)]


def test_a_step_by_time_is_late_by_what_passed_after_its_time() -> None:
    assert measured((), {"at": "45s"}) == [Precision("at 45 s", 15, {})]


def test_a_step_by_progress_is_late_by_what_passed_after_the_record_that_met_its_trigger() -> None:
    first = log("publisher", 1, (10, Kind.CONFIRMED, 40), (59_700, Kind.CONFIRMED, 60), (59_995, Kind.CONFIRMED, 7))
    second = log("publisher", 2, (20, Kind.CONFIRMED, 3), (59_996, Kind.CONFIRMED, 50), (60_001, Kind.CONFIRMED, 900))
    found = measured((first, second), {"after": {"confirmed": 111}})[0]
    assert found == Precision("after 111 confirmed", 0.004, {"confirmed": 160})


@pytest.mark.parametrize("at_ms", [59_990, 59_500, 55_000, 3])
def test_it_is_found_however_long_ago_it_was(at_ms: int) -> None:
    found = measured((log("worker", 1, (at_ms, Kind.DELIVERED, 0)),), {"after": {"delivered": 1}})[0]
    assert found.late_s == (60_000 - at_ms) / 1000


def test_several_counters_are_met_with_the_last_of_them() -> None:
    logs = (log("publisher", 1, (100, Kind.PUBLISHED, 0)), log("worker", 1, (200, Kind.ACKED, 5)))
    found = measured(logs, {"after": {"published": 1, "acked": 5}})[0]
    assert (found.late_s, found.counted) == (59.8, {"published": 1, "acked": 5})


def test_a_backlog_counts_from_when_it_was_up_for_good() -> None:
    publisher = log("publisher", 1, *((at, Kind.PUBLISHED, 0) for at in (1, 2, 3, 50_000)))
    worker = log("worker", 1, (10, Kind.COMPLETED, 0))
    found = measured((publisher, worker), {"after": {"backlog": 3}})[0]
    assert (found.late_s, found.counted) == (10, {"backlog": 3})


def test_a_backlog_counts_each_copy() -> None:
    """Two messages in two queues each, and one copy is done: three are left since the second was published."""
    of = scenario({"after": {"backlog": 3}}).model_copy(
        update={
            "queues": {"tasks": Queue(), "second": Queue()},
            "exchanges": {"fan": Exchange(type="fanout")},
            "bindings": (Binding(exchange="fan", queue="tasks"), Binding(exchange="fan", queue="second")),
        }
    )
    publisher = log("publisher", 1, (1000, Kind.PUBLISHED, 0), (50_000, Kind.PUBLISHED, 0))
    publisher = replace(publisher, header=replace(publisher.header, names=("fan/",)))
    worker = log("worker", 1, (2000, Kind.COMPLETED, 0))
    events = (TrafficStarted(at_ns=0, variant=V), *struck())
    (found,) = precision(tabulate(History((publisher, worker), events), of), of, fault_records(events)).values()
    assert (found.late_s, found.counted) == (10, {"backlog": 3})


def test_work_that_takes_no_time_counts_as_processed_with_its_delivery() -> None:
    worker = log("worker", 1, (1000, Kind.DELIVERED, 0), (2000, Kind.DELIVERED, 0))
    worker.records["flags"][1] = Flag.DONE
    assert measured((worker,), {"after": {"processed": 1}})[0].late_s == 58


def test_a_republish_counts_as_nothing_new() -> None:
    publisher = log("publisher", 1, (1000, Kind.PUBLISHED, 0), (2000, Kind.PUBLISHED, 0), (3000, Kind.PUBLISHED, 0))
    publisher.records["attempt"][1] = 2
    found = measured((publisher,), {"after": {"published": 2}})[0]
    assert (found.late_s, found.counted) == (57, {"published": 2})


def test_what_the_logs_do_not_tell_is_not_measured() -> None:
    logs = (log("worker", 1, (1, Kind.DELIVERED, 0)),)
    assert measured(logs, {"after": {"in flight": 1}})[0] == Precision("after 1 in flight", None, {})
    assert measured(logs, {"after": {"delivered": 2}})[0].late_s is None
    both = measured(logs, {"after": {"delivered": 1, "in flight": 1}})[0]
    assert (both.late_s, both.counted) == (None, {"delivered": 1})


def test_a_step_that_the_scenario_does_not_have_is_left_alone() -> None:
    assert measured((), {"at": "1s"}, strikes=struck(5)) == [Precision()]


def test_waiting_for_another_step_that_has_the_broker_is_not_late() -> None:
    first = struck(0, at_ns=20_000 * MS, healed_ns=59_990 * MS)
    found = measured((), {"at": "20s"}, {"at": "30s"}, strikes=(*first, *struck(1)))
    assert [found[0].late_s, found[1].late_s] == [0, 0.01]
    beside = measured(
        (), {"at": "20s"}, {"at": "30s"}, strikes=(*first, *struck(1, effects=on_process(Becomes.STOPPED)))
    )
    assert beside[1].late_s == 30


@pytest.mark.parametrize(
    ("healed_ms", "effects", "late_s"),
    [
        (59_990, RESTART, 0.01),
        (60_000, RESTART, 0),
        (60_001, RESTART, 20),
        (59_990, on_process(Becomes.STOPPED), 20),
    ],
)
def test_the_last_step_that_let_the_broker_go_before_it_is_the_one_that_it_waited_for(
    healed_ms: int, effects: Effects, late_s: float
) -> None:
    first = struck(0, at_ns=20_000 * MS, healed_ns=40_000 * MS)
    second = struck(1, at_ns=50_000 * MS, healed_ns=healed_ms * MS, effects=effects)
    steps = ({"at": "20s"}, {"at": "30s"}, {"at": "30s"})
    assert measured((), *steps, strikes=(*first, *second, *struck(2)))[2].late_s == late_s


CHANGES = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 70_000),
            st.sampled_from([Kind.PUBLISHED, Kind.COMPLETED, Kind.CONFIRMED, Kind.CONNECTED]),
            st.integers(1, 3),
        ),
        max_size=12,
    ),
    min_size=1,
    max_size=3,
)


@given(CHANGES, st.sampled_from(["published", "confirmed", "processed", "backlog"]), st.integers(1, 8))
def test_it_says_what_counting_record_by_record_says(
    logs: list[list[tuple[int, Kind, int]]], name: str, wanted: int
) -> None:
    def adds(kind: Kind, count: int) -> int:
        published, processed = int(kind is Kind.PUBLISHED), int(kind is Kind.COMPLETED)
        confirmed = count if kind is Kind.CONFIRMED else 0
        every = {"published": published, "processed": processed, "confirmed": confirmed}
        return (every | {"backlog": published - processed})[name]

    first = itemgetter(0)
    value, since = 0, None
    rows = sorted((row for rows in logs for row in rows), key=first)
    for at_ms, together in groupby((row for row in rows if row[0] <= 60_000), key=first):
        value += sum(adds(kind, count) for _, kind, count in together)
        since = (since if since is not None else at_ms) if value >= wanted else None
    made = tuple(
        log(role, number, *sorted((row for row in rows if (row[1] is Kind.COMPLETED) == (role == "worker")), key=first))
        for number, rows in enumerate(logs, start=1)
        for role in ("publisher", "worker")
    )
    found = measured(made, {"after": {name: wanted}})[0]
    assert found.counted == {name: max(value, 0)}
    assert found.late_s == (None if since is None else (60_000 - since) / 1000)


def test_the_verdict_has_it() -> None:
    story = Story()
    story.sent(0)
    story.fault("close", "n1", family="connection")
    fault = judge(story.history(), scenario({"after": {"confirmed": 1}}), name="x").faults[0]
    assert (fault.trigger, fault.late_s, fault.counted) == ("after 1 confirmed", 0.001, {"confirmed": 1})
