from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from harness.report.broker_log import MOST_COMPLAINTS, Excerpt, complaints, complaints_by_variant, excerpts
from harness.verdict.data import FaultOutcome
from tests.unit import report_samples as samples

ZERO = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


def fault(at_s: float | None, healed_s: float | None = None) -> FaultOutcome:
    return FaultOutcome(0, "restart", "restart n1", "broker", "#2471a3", at_s, True, healed_s, None, 0, None)


def log(*seconds: float, zone: str = "+00:00", shift: timedelta = timedelta(0)) -> str:
    stamps = [ZERO + shift + timedelta(seconds=each) for each in seconds]
    lines = [
        f"{at:%Y-%m-%d %H:%M:%S.%f}{zone} [info] <0.1.0> at {each:g}" for at, each in zip(stamps, seconds, strict=True)
    ]
    return "\n".join(lines)


def shown(found: tuple[Excerpt, ...]) -> list[str]:
    return [line.partition("at ")[2] for excerpt in found for line in (*excerpt.head, *excerpt.tail)]


def cut(text: str, *faults: FaultOutcome, most: int = 50) -> tuple[Excerpt, ...]:
    return excerpts(faults, {"n1": text}, zero=ZERO, most_lines=most)


def test_the_lines_around_a_fault_are_cut_out_up_to_its_healing() -> None:
    found = cut(log(0, 8.9, 9.5, 10, 12, 15, 17.9, 18.5), fault(10, 15))
    assert shown(found) == ["9.5", "10", "12", "15", "17.9"]
    assert (found[0].node, found[0].title, found[0].left_out) == ("n1", "restart n1", 0)


def test_a_line_without_a_time_belongs_to_the_line_before() -> None:
    text = log(10) + "\n  a stack trace\n" + log(40) + "\n  of another time"
    assert shown(cut(text, fault(10))) == ["10", ""]


def test_what_is_too_long_loses_its_middle_and_says_how_much() -> None:
    (excerpt,) = cut(log(*(10 + each / 100 for each in range(100))), fault(10), most=10)
    assert (len(excerpt.head), excerpt.left_out, len(excerpt.tail)) == (5, 90, 5)
    assert excerpt.head[0].endswith("at 10")
    assert excerpt.tail[-1].endswith("at 10.99")


@pytest.mark.parametrize("hours", [-8, 0, 2])
def test_a_log_with_a_zone_of_its_own_is_understood(hours: int) -> None:
    zone = f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    assert shown(cut(log(10, zone=zone, shift=timedelta(hours=hours)), fault(10))) == ["10"]


@pytest.mark.parametrize("hours", [0, 5, -7])
def test_a_log_without_a_zone_is_taken_in_the_zone_nearer_to_the_run(hours: int) -> None:
    local = timezone(timedelta(hours=5))
    text = log(10, zone="", shift=timedelta(hours=hours))
    found = excerpts([fault(10)], {"n1": text}, zero=ZERO, most_lines=9, local=local)
    assert shown(found) == (["10"] if hours in (0, 5) else [])


def test_a_fault_that_never_struck_and_a_log_without_times_have_no_excerpt() -> None:
    assert cut(log(10), fault(None)) == ()
    assert cut("started\nstopped\n9999-99-99 99:99:99 odd", fault(10)) == ()


def test_a_long_line_is_cut() -> None:
    (excerpt,) = cut(log(10) + "x" * 10_000, fault(10))
    assert len(excerpt.head[0]) == 240


NAMED = "connection <0.9.0> (127.0.0.1:1 -> 127.0.0.1:2) has a client-provided name: chaos-0a1b2c-0/worker-1.1"


def entry(at_s: float, level: str, text: str, *, zone: str = "+00:00", by: str = "<0.1.0>") -> str:
    return f"{ZERO + timedelta(seconds=at_s):%Y-%m-%d %H:%M:%S.%f}{zone} [{level}] {by} {text}"


def complained(*entries: str) -> list[str]:
    found = complaints({"n1": "\n".join(entries)}, begin=ZERO - timedelta(seconds=5), end=ZERO + timedelta(seconds=60))
    return [line.partition("> ")[2] or line for each in found for line in each.lines]


def test_warnings_and_errors_are_complaints_whether_or_not_there_was_a_fault() -> None:
    lines = [
        entry(1, "info", "accepting"),
        entry(2, "warning", "Consumer 60 on channel 1 has timed out"),
        entry(3, "notice", "queue created"),
        entry(4, "error", "Channel error on connection:"),
        "  operation none caused a channel exception",
        entry(5, "info", "closing"),
        "  of another entry",
        entry(6, "critical", "disk"),
    ]
    assert complained(*lines) == [
        "Consumer 60 on channel 1 has timed out",
        "Channel error on connection:",
        "  operation none caused a channel exception",
        "disk",
    ]


def test_what_the_harness_itself_did_before_the_traffic_is_no_complaint() -> None:
    knock = entry(-1, "warning", "client unexpectedly closed TCP connection")
    bad = entry(2, "error", "bad")
    assert complained(knock, entry(-0.5, "info", NAMED), bad) == ["bad"]
    assert complained(knock, bad) == ["client unexpectedly closed TCP connection", "bad"], "no publisher or worker came"


def test_what_the_harness_itself_asked_is_no_complaint_and_a_process_of_that_name_later_on_is_another() -> None:
    asking = "connection <0.7.0> (127.0.0.1:3 -> 127.0.0.1:2) has a client-provided name: chaos-0a1b2c-0"
    missing = "operation queue.declare caused a channel exception not_found: no queue 'side' in vhost '/'"
    asked = [
        entry(3, "info", asking, by="<0.7.0>"),
        entry(4, "error", "Channel error on connection <0.7.0> (127.0.0.1:3), channel 1:", by="<0.8.0>"),
        entry(4, "error", missing, by="<0.8.0>"),
        "  and more of it",
    ]
    mine = [
        entry(5, "error", "Channel error on connection <0.9.0> (127.0.0.1:1), channel 1:", by="<0.10.0>"),
        entry(5, "error", missing, by="<0.10.0>"),
    ]
    again = [
        entry(6, "info", " Starting RabbitMQ 4.0.5 on Erlang 27.3", by="<0.5.0>"),
        entry(7, "error", "of a channel", by="<0.8.0>"),
    ]
    named_again = [
        entry(8, "info", asking, by="<0.7.0>"),
        entry(9, "info", NAMED.replace("<0.9.0>", "<0.7.0>"), by="<0.7.0>"),
        entry(9, "error", "of a worker", by="<0.7.0>"),
    ]
    lines = complained(entry(-0.5, "info", NAMED, by="<0.9.0>"), *asked, *mine, *again, *named_again)
    told = "Channel error on connection <0.9.0> (127.0.0.1:1), channel 1:"
    assert lines == [told, missing, "of a channel", "of a worker"]


def test_complaints_of_another_time_are_left_out() -> None:
    assert complained(entry(-6, "error", "before"), entry(0, "error", "in"), entry(61, "error", "after")) == ["in"]


def test_levels_of_a_log_without_a_zone_are_understood() -> None:
    assert complained(entry(1, "error", "old", zone="")) == ["old"]


def test_a_node_without_complaints_is_left_out_and_too_many_are_counted() -> None:
    log = "\n".join(entry(each / 10, "error", f"{each}") for each in range(MOST_COMPLAINTS + 5))
    quiet = entry(1, "info", "fine")
    (found,) = complaints({"n1": log, "n2": quiet}, begin=ZERO, end=ZERO + timedelta(seconds=60))
    assert (found.node, len(found.lines), found.left_out) == ("n1", MOST_COMPLAINTS, 5)


def test_a_runs_complaints_are_those_of_its_variants_own_time() -> None:
    sample = samples.failing(3)
    logs = {"guarantee": {"n1": "\n".join((entry(0.1, "error", "mine"), entry(500, "error", "later")))}}
    found = complaints_by_variant(sample.run, sample.histories, logs)
    assert [each.lines for each in found["guarantee"]] == [(entry(0.1, "error", "mine"),)]
