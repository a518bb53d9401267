"""The verdict in one line: counts first, at most two reasons, at most 120 characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.checks.words.headline import LONGEST, NOT_DONE, headline, name_in_line, run_headline
from harness.plain import plain
from harness.verdict.data import Counts, ExpectationResult, Fate, LossCause, NotDone, Outcome, Place, VariantVerdict
from tests.unit.report_samples import passing

NAMES = st.text(max_size=60) | st.sampled_from(["tasks", "a" * 80, "x\ny", "\u202eevil\x1b[31m", "`code`"])
NUMBERS = st.integers(1, 10**11)


def counts(published: int, fates: dict[Fate, int], possible: dict[Fate, int] | None = None) -> Counts:
    return Counts(published=published, copies=sum(fates.values()), fates=fates, possible=possible or {})


def dropped(count: int, by: str = "by the length limit of tasks", queue: str = "tasks") -> NotDone:
    return NotDone(Fate.DROPPED, queue, None, False, by, (), count, "")


def lost(count: int, actor: str, title: str = "", place: Place = Place.WORKER) -> LossCause:
    return LossCause(place, actor, 0 if title else None, title, "", (), count, "", ())


def failing(path: str, expected: str, observed: str) -> ExpectationResult:
    return ExpectationResult(path, expected, observed, holds=False, stated=True)


def line(
    found: Counts,
    *,
    outcome: Outcome = Outcome.VIOLATED,
    bound: float | None = None,
    causes: Sequence[LossCause] = (),
    not_done: Sequence[NotDone] = (),
    expectations: Sequence[ExpectationResult] = (),
    reasons: Sequence[str] = (),
) -> str:
    return headline(
        outcome,
        counts=found,
        bound=bound,
        causes=causes,
        not_done=not_done,
        struck=(),
        expectations=expectations,
        reasons=reasons,
    )


def test_a_line_says_what_was_done_and_what_dropped_the_others() -> None:
    found = counts(2000, {Fate.PROCESSED: 1887, Fate.DROPPED: 113})
    said = "2,000 tasks: 1,887 done, 113 dropped by the length limit of tasks"
    assert line(found, not_done=[dropped(113)]) == said


def test_a_line_says_messages_and_copies_where_they_differ() -> None:
    found = counts(1000, {Fate.PROCESSED: 1900, Fate.LOST: 100})
    said = "1,000 tasks in 2,000 copies: 1,900 done, 100 lost at worker-3 by `kill worker-3`"
    assert line(found, causes=[lost(100, "worker-3", "kill worker-3")]) == said


def test_a_line_names_every_fate_of_what_was_not_done() -> None:
    fates = dict.fromkeys(NOT_DONE, 1) | {Fate.PROCESSED: 3}
    said = (
        "12 tasks: 3 done, 1 lost, 1 expired, 1 dropped, 1 removed, 1 dead-lettered, 1 retained, 1 stranded, "
        "2 not done otherwise"
    )
    assert line(counts(12, fates)) == said
    for fate in NOT_DONE:
        assert line(counts(5, {Fate.PROCESSED: 3, fate: 2})) == f"5 tasks: 3 done, 2 {fate.value}"


def test_two_reasons_are_named_and_the_others_counted() -> None:
    found = counts(60, {Fate.PROCESSED: 10, Fate.LOST: 50})
    causes = [lost(count, f"worker-{count}") for count in (20, 15, 10, 5)]
    said = "60 tasks: 10 done, 50 lost (20 at worker-20, 15 at worker-15); and 2 more reasons"
    assert line(found, causes=causes) == said


def test_a_violated_latency_is_one_of_the_two_reasons() -> None:
    found = counts(60, {Fate.PROCESSED: 10, Fate.LOST: 50})
    causes = [lost(30, "worker-1"), lost(20, "worker-2")]
    late = failing("latency.completion.p99", "< 1s", "3.2 s")
    said = "60 tasks: 10 done, 50 lost (30 at worker-1); latency.completion.p99 was 3.2 s, expected < 1s; and 1 more reason"
    assert line(found, causes=causes, expectations=[late, failing("lost", "0", "50")]) == said


def test_what_is_only_possible_is_said_to_be_up_to_a_number() -> None:
    fates = {Fate.PROCESSED: 90, Fate.DROPPED: 10}
    assert line(counts(100, fates, {Fate.DROPPED: 10})) == "100 tasks: 90 done, up to 10 dropped"
    assert line(counts(100, fates, {Fate.DROPPED: 4})) == "100 tasks: 90 done, 6 to 10 dropped"


def test_a_line_of_a_run_in_which_everything_was_done_bounds_the_loss_rate() -> None:
    found = line(counts(3000, {Fate.PROCESSED: 3000}), outcome=Outcome.AS_EXPECTED, bound=0.001)
    assert found == "3,000 tasks: all done without any fault; loss rate below 0.1% at 95%"


def test_what_must_not_be_there_is_a_reason_although_everything_was_done() -> None:
    found = counts(3000, {Fate.PROCESSED: 3000})
    said = "3,000 tasks: all done without any fault; 16 unexplained duplicates"
    assert line(found, expectations=[failing("unexplained_duplicates", "0", "16")]) == said


def test_an_inconclusive_line_says_why_after_the_counts() -> None:
    found = counts(10, {Fate.PROCESSED: 8, Fate.STRANDED: 2})
    said = "10 tasks: 8 done, 2 stranded; inconclusive: the drain did not finish"
    assert line(found, outcome=Outcome.INCONCLUSIVE, reasons=["the drain did not finish"]) == said


def test_a_line_of_a_broken_run_says_what_broke_it() -> None:
    reason = "the broker did not answer within 60 s of its start; see its log"
    found = line(counts(10, {Fate.PROCESSED: 8, Fate.LOST: 2}), outcome=Outcome.INFRASTRUCTURE, reasons=[reason])
    assert found == f"10 tasks published, 8 done; infrastructure: {reason}"
    assert line(Counts(), outcome=Outcome.INFRASTRUCTURE, reasons=[reason]) == f"Infrastructure: {reason}"


def test_long_names_are_cut_in_the_middle() -> None:
    assert name_in_line("tasks") == "tasks"
    assert name_in_line("orders-of-the-northern-warehouse") == "orders-of-t…rn-warehouse"
    queue = "orders-of-the-northern-warehouse"
    found = counts(2, {Fate.PROCESSED: 1, Fate.DROPPED: 1})
    said = line(found, not_done=[dropped(1, f"by the length limit of {queue}", queue)])
    assert said == "2 tasks: 1 done, 1 dropped by the length limit of orders-of-t…rn-warehouse"


def test_a_runs_sentence_names_the_controls_that_did_not_show_what_they_must() -> None:
    guarantee, shown, _ = passing().run.variants
    violated = replace(shown, name="no confirms", outcome=Outcome.VIOLATED)
    assert run_headline(Outcome.VIOLATED, [guarantee, shown, violated]) == (
        f"{guarantee.headline}; 1 of 2 controls did not show what it must"
    )
    short = replace(guarantee, headline="40 tasks: all done")
    assert run_headline(Outcome.VIOLATED, [short, shown, violated]) == (
        "40 tasks: all done. 1 of 2 controls did not show what it must (no confirms: violated)."
    )
    assert run_headline(Outcome.AS_EXPECTED, [short, shown]) == (
        "40 tasks: all done. Its control showed what it must (transient messages)."
    )


@st.composite
def verdicts(draw: st.DrawFn) -> VariantVerdict:
    """A verdict with any fates, causes and names; only what the line is made from matters."""
    fates = draw(st.dictionaries(st.sampled_from(Fate), NUMBERS, min_size=1))
    possible = {fate: draw(st.integers(0, count)) for fate, count in fates.items()}
    copies = sum(fates.values())
    causes = draw(st.lists(st.builds(lost, NUMBERS, NAMES, NAMES, st.sampled_from(Place)), max_size=5))
    queue = draw(NAMES)
    taken = [dropped(draw(NUMBERS), f"by the length limit of {queue}", queue) for _ in range(draw(st.integers(0, 4)))]
    return replace(
        passing().run.variants[0],
        outcome=draw(st.sampled_from([Outcome.VIOLATED, Outcome.AS_EXPECTED, Outcome.INCONCLUSIVE])),
        counts=counts(draw(st.sampled_from([copies, max(1, copies // 2)])), fates, possible),
        causes=tuple(causes),
        not_done=tuple(taken),
        expectations=tuple(draw(st.lists(st.builds(failing, NAMES, NAMES, NAMES), max_size=4))),
        reasons=tuple(draw(st.lists(NAMES, max_size=4))),
        loss_rate_below=draw(st.none() | st.floats(0.0001, 0.5)),
    )


@given(verdicts())
def test_a_line_of_anything_has_at_most_120_printable_characters_and_all_counts(found: VariantVerdict) -> None:
    said = line(
        found.counts,
        outcome=found.outcome,
        bound=found.loss_rate_below,
        causes=found.causes,
        not_done=found.not_done,
        expectations=found.expectations,
        reasons=found.reasons,
    )
    assert len(said) <= LONGEST
    assert said == plain(said)
    fates = found.counts.fates
    done = sum(fates.get(fate, 0) for fate in (Fate.PROCESSED, Fate.RECOVERED, Fate.RESURRECTED))
    assert re.match(rf"{found.counts.published:,} tasks?( in {sum(fates.values()):,} cop(y|ies))?: ", said)
    if done == sum(fates.values()):
        assert "all done" in said or "1 done" in said
        return
    assert f": {done:,} done" in said
    named = [fate for fate in NOT_DONE if f"{fates.get(fate, 0):,} {fate.value}" in said and fates.get(fate)]
    rest = sum(fates.get(fate, 0) for fate in NOT_DONE) - sum(fates[fate] for fate in named)
    assert not rest or f", {rest:,} not done" in said


@given(st.lists(verdicts(), min_size=1, max_size=6), st.lists(NAMES, min_size=6, max_size=6))
def test_a_runs_line_has_at_most_120_characters_and_counts_the_controls_that_failed(
    found: list[VariantVerdict], names: list[str]
) -> None:
    lines = [
        line(
            each.counts,
            outcome=each.outcome,
            bound=each.loss_rate_below,
            causes=each.causes,
            not_done=each.not_done,
            expectations=each.expectations,
            reasons=each.reasons,
        )
        for each in found
    ]
    variants = [replace(each, name=name, headline=said) for each, name, said in zip(found, names, lines, strict=False)]
    said = run_headline(Outcome.VIOLATED, variants)
    assert len(said) <= LONGEST
    assert said == plain(said)
    bad = sum(each.outcome is not Outcome.AS_EXPECTED for each in variants[1:])
    assert not bad or f"{bad} of {len(variants) - 1} control" in said


def test_a_runs_line_leaves_the_controls_names_out_where_there_is_no_room() -> None:
    guarantee, shown, _ = passing().run.variants
    counted = replace(
        guarantee, headline="3,000 tasks in 9,000 copies: 8,006 done, 994 lost at counter-1 by `kill counter-1`"
    )
    assert run_headline(Outcome.VIOLATED, [counted, replace(shown, name="counting acknowledges when done")]) == (
        f"{counted.headline}. Its control showed what it must."
    )
    long = replace(guarantee, headline="x" * LONGEST)
    end = "; control as expected"
    assert run_headline(Outcome.VIOLATED, [long, shown]) == f"{'x' * (LONGEST - len(end) - 1)}…{end}"
    violated = replace(shown, outcome=Outcome.VIOLATED)
    assert run_headline(Outcome.VIOLATED, [long, violated]).endswith("x…; 1 of 1 control not shown")
