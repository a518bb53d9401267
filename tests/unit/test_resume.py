"""Where a killed publisher goes on, and what the live counters say of a log."""

from __future__ import annotations

from pathlib import Path

from harness.engine.live_log import LiveLog
from harness.engine.resume import resume_point
from harness.history.records import Flag, Kind, LogHeader
from harness.traffic.log import EventLog


def log(path: Path, role: str = "publisher") -> EventLog:
    return EventLog(path, LogHeader(role, f"{role}-1", 1, 1, 1, ("tasks",)))


def test_a_publisher_goes_on_behind_what_it_had_published_and_repeats_what_was_not_confirmed(tmp_path: Path) -> None:
    first = log(tmp_path / "1.log")
    for seq in range(6):
        first.write(Kind.PUBLISHED, seq=seq, tag=seq + 1, publisher=1, attempt=1, connection=1)
    first.write(Kind.CONFIRMED, tag=1, arg=2, publisher=1, connection=1)
    first.write(Kind.CONFIRMED, tag=5, arg=1, publisher=1, connection=1)
    point = resume_point([tmp_path / "1.log"], confirms=True)
    assert point.start == 6
    assert point.republish == ((2, 2), (3, 2), (5, 2))


def test_a_later_incarnations_confirm_settles_an_earlier_attempt(tmp_path: Path) -> None:
    first, second = log(tmp_path / "1.log"), log(tmp_path / "2.log")
    first.write(Kind.PUBLISHED, seq=0, tag=1, publisher=1, attempt=1, connection=1)
    first.write(Kind.PUBLISHED, seq=1, tag=2, publisher=1, attempt=1, connection=1)
    second.write(Kind.PUBLISHED, seq=0, tag=1, publisher=1, attempt=2, connection=1)
    second.write(Kind.CONFIRMED, tag=1, arg=1, publisher=1, connection=1)
    point = resume_point([tmp_path / "1.log", tmp_path / "2.log"], confirms=True)
    assert (point.start, point.republish) == (2, ((1, 2),))


def test_the_schedule_of_a_publisher_begins_with_its_first_message_in_whichever_life(tmp_path: Path) -> None:
    first, second, third = (log(tmp_path / f"{number}.log") for number in (1, 2, 3))
    first.write(Kind.CONNECTED, connection=1)
    second.write(Kind.PUBLISHED, at_ns=1000, seq=0, tag=1, publisher=1, attempt=1, connection=1)
    third.write(Kind.PUBLISHED, at_ns=2000, seq=0, tag=1, publisher=1, attempt=2, connection=1)
    logs = [tmp_path / f"{number}.log" for number in (1, 2, 3)]
    assert [resume_point(logs[:count], confirms=True).origin_ns for count in range(4)] == [None, None, 1000, 1000]


def test_without_confirms_nothing_is_repeated(tmp_path: Path) -> None:
    first = log(tmp_path / "1.log")
    first.write(Kind.PUBLISHED, seq=0, publisher=1, attempt=1, connection=1)
    assert resume_point([tmp_path / "1.log", tmp_path / "never.log"], confirms=False).republish == ()


def test_the_counters_know_what_a_worker_holds(tmp_path: Path) -> None:
    written = log(tmp_path / "w.log", "worker")
    live = LiveLog(tmp_path / "w.log", settles=True)
    for tag in range(1, 6):
        written.write(Kind.DELIVERED, seq=tag, tag=tag, publisher=1, attempt=1, connection=1)
    for tag in (1, 2, 3):
        written.write(Kind.COMPLETED, seq=tag, tag=tag, publisher=1, attempt=1, connection=1)
    written.write(Kind.ACKED, tag=1, arg=2, connection=1)
    counters = live.advance()
    assert (counters.delivered, counters.processed, counters.acked) == (5, 3, 2)
    assert (counters.in_flight, counters.uncompleted) == (3, 2)
    written.write(Kind.CONNECTION_LOST, connection=1)
    written.write(Kind.DELIVERED, seq=9, tag=1, publisher=1, attempt=1, connection=2, flags=Flag.DONE)
    counters = live.advance()
    assert (counters.in_flight, counters.uncompleted, counters.processed) == (1, 0, 4)


def test_a_worker_no_longer_holds_a_delivery_whose_work_has_failed(tmp_path: Path) -> None:
    written = log(tmp_path / "w.log", "worker")
    live = LiveLog(tmp_path / "w.log", settles=False)
    for tag in range(1, 4):
        written.write(Kind.DELIVERED, seq=tag, tag=tag, publisher=1, attempt=1, connection=1)
    written.write(Kind.FAILED, seq=1, tag=1, publisher=1, attempt=1, connection=1)
    written.write(Kind.COMPLETED, seq=2, tag=2, publisher=1, attempt=1, connection=1)
    counters = live.advance()
    assert (counters.in_flight, counters.uncompleted, counters.processed) == (1, 1, 1)
    written.write(Kind.FAILED, seq=3, tag=3, publisher=1, attempt=1, connection=1)
    assert (live.advance().in_flight, live.counters.processed) == (0, 1)


def test_the_counters_know_what_a_publisher_waits_for(tmp_path: Path) -> None:
    written = log(tmp_path / "p.log")
    live = LiveLog(tmp_path / "p.log", settles=True)
    assert live.advance().unsettled == 0
    for seq in range(4):
        written.write(Kind.PUBLISHED, seq=seq, tag=seq + 1, publisher=1, attempt=1, connection=1)
    written.write(Kind.CONFIRMED, tag=1, arg=3, publisher=1, connection=1)
    assert (live.advance().unsettled, live.counters.published, live.counters.confirmed) == (1, 4, 3)
