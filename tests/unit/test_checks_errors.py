"""The errors that publishers and workers met are said, whatever the verdict is."""

from __future__ import annotations

from harness.checks.judge import judge
from tests.unit.histories import Story, scenario

NO_EXCHANGE = "NOT_FOUND - no exchange 'ex' in vhost '/'"
SAID = "the broker refused or closed a channel or connection"


def notes(story: Story) -> tuple[str, ...]:
    return judge(story.history(), scenario(), name="x").notes


def a_story() -> Story:
    story = Story()
    story.sent(0)
    story.process(0)
    return story


def test_an_error_is_said_once_with_how_often_it_was_met_and_by_whom() -> None:
    story = a_story()
    for connection in (1, 2):
        story.lose_connection("publisher", connection=connection, code=404, reason=NO_EXCHANGE)
    story.close_channel(code=404, reason=NO_EXCHANGE)
    assert notes(story) == (f"{SAID} 3 times with 404 {NO_EXCHANGE} (publisher-1, worker-1)",)


def test_of_many_who_met_an_error_three_are_named() -> None:
    story = a_story()
    for number in range(1, 6):
        story.lose_connection("worker", number, code=541, reason="INTERNAL_ERROR")
    assert notes(story) == (f"{SAID} 5 times with 541 INTERNAL_ERROR (worker-1, worker-2, worker-3 and 2 others)",)


def test_the_most_frequent_errors_are_said_and_the_others_counted() -> None:
    story = a_story()
    for code, count in ((403, 1), (404, 3), (405, 2), (406, 4), (540, 1)):
        for number in range(count):
            story.lose_connection("worker", number + 1, connection=code, code=code, reason="NO")
    assert [note.partition(" with ")[2].partition(" ")[0] for note in notes(story)[:3]] == ["406", "404", "405"]
    assert notes(story)[3:] == ("2 more errors of publishers and workers can be found in the history",)


def test_the_end_of_a_node_or_of_a_socket_is_no_error_of_the_traffic() -> None:
    story = a_story()
    story.lose_connection("publisher", code=320, reason="CONNECTION_FORCED - shutdown")
    story.lose_connection("worker")
    assert notes(story) == ()
