"""Short reports name the first messages that were lost or done more than once."""

from __future__ import annotations

from dataclasses import replace

from harness.report.named import named, trace_command
from harness.verdict.data import Outcome
from tests.unit import report_samples as samples


def test_the_first_messages_of_each_kind_are_named() -> None:
    (variant,) = samples.every_fate().run.variants
    assert list(named(variant)) == [
        "lost: publisher-1#20, publisher-1#21, publisher-1#22",
        "done more than once: publisher-1#0, publisher-1#1, publisher-1#2, publisher-1#3, publisher-1#4",
    ]
    (variant,) = samples.failing(6).run.variants
    assert list(named(variant)) == [
        "lost: publisher-1#20, publisher-1#21, publisher-1#22, publisher-1#23, publisher-1#24, …"
    ]


def test_a_message_of_which_several_copies_were_lost_is_named_once() -> None:
    (variant,) = samples.failing(1).run.variants
    assert list(named(replace(variant, lost=variant.lost * 3))) == ["lost: publisher-1#20"]


def test_the_command_that_shows_a_life_names_the_control() -> None:
    kept, shown, other = samples.passing().run.variants
    assert trace_command([kept], "reports/run") == ""
    assert trace_command([kept, shown], "a run") == "chaos trace 'a run' publisher-1#10 --variant 'transient messages'"
    violated = replace(other, outcome=Outcome.VIOLATED)
    assert trace_command([kept, shown, violated], "x").endswith(" --variant 'non-durable queue'")
    (failed,) = samples.failing(1).run.variants
    assert trace_command([failed], "reports/run") == "chaos trace reports/run publisher-1#20"
