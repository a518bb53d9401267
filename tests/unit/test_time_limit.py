"""The time limit ends the traffic, and a note says what it cut off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine.counters import Totals
from harness.engine.load import LoadMeter
from harness.engine.outbox import Outbox
from harness.engine.traffic import Participants, Traffic
from harness.events import CutOff, Event, Note
from tests.unit.histories import scenario

COUNTED: dict[str, object] = {"publishers": {"messages": 10}}
BY_TIME: dict[str, object] = {"publishers": {"duration": "1ms"}}


def note_of(changes: dict[str, object], *, published: int, done: bool, finished: bool = True) -> str:
    """Run traffic whose publishers have sent so much, and are done or not, until the time limit; what the note says."""
    of = scenario(time_limit="100ms", **changes)
    events: list[Event] = []
    outbox = Outbox("guarantee", [events.append])
    unfinished = () if finished else ("step 1 (kill worker) had not struck",)

    def nothing(*_: Any) -> Any:
        return ()

    processes: Any = SimpleNamespace(
        add=nothing,
        not_connected=list,
        not_consuming=list,
        release=nothing,
        loads=nothing,
        publishers_done=lambda: done,
        stop_all=nothing,
        end_publishing=nothing,
        totals=lambda: Totals(published=published),
    )
    timeline: Any = SimpleNamespace(
        advance=nothing,
        finished=finished,
        active=True,
        clock_pending=False,
        progress_pending=False,
        until_due_s=lambda _elapsed: 0.001,
        unfinished=unfinished,
    )
    hand: Any = SimpleNamespace(published=0, confirmed=0)
    traffic = Traffic(
        of,
        Participants(processes, timeline, hand),
        outbox=outbox,
        variant="guarantee",
        housekeep=lambda: None,
        before_release=lambda: None,
    )
    traffic.run()
    (note,) = [event for event in events if isinstance(event, Note)]
    assert isinstance(note, CutOff) == ("everything was sent" in note.message)
    return note.message.removeprefix("the time limit of 0.1 s ended the traffic ")


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoadMeter, "measured", lambda *_: Note(at_ns=0, variant="x", message="load"))
    monkeypatch.setattr(LoadMeter, "over", True, raising=False)


@pytest.mark.parametrize(
    ("published", "done", "changes", "said"),
    [
        (9, False, COUNTED, "before everything was sent"),
        (10, False, COUNTED, "while publishers still waited for confirms"),
        (5, False, BY_TIME, "while publishers still waited for confirms"),
        (5, False, {"publishers": {"duration": "1h"}}, "before everything was sent"),
        (5, False, {**COUNTED, "backlog_first": True}, "before everything was sent, so no worker was started"),
    ],
)
def test_the_note_says_what_was_not_done_yet(published: int, done: bool, changes: dict[str, object], said: str) -> None:
    assert note_of(changes, published=published, done=done) == said


def test_where_all_was_sent_the_note_names_the_steps_that_were_still_to_come() -> None:
    said = note_of(COUNTED, published=10, done=True, finished=False)
    assert said == "while the timeline was not over: step 1 (kill worker) had not struck"
