"""Lies that are planned, held against a verdict, and put into a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.checks.judge import judge
from harness.checks.rules.remedies import BROKEN_PROMISE
from harness.checks.selftest.recorded import recorded
from harness.cli.app import app
from harness.cli.selftest import planned
from harness.errors import UsageError
from harness.faults.registry import actions
from harness.lies.findings import NOBODY, UNDER_WAY_NS, Became, Strike, compare
from harness.lies.kinds.base import AsIf, Find
from harness.lies.orders import draw_orders
from harness.lies.registry import lies
from harness.lies.scene import MESSAGES, REJECTED_EVERY, SCENES, WINDOWS, Beside, Scene, Traffic, Window, scenario
from harness.lies.table import as_json, closing, described, markdown
from harness.lies.telling import LieTold, RunOfLies, load
from harness.lies.told import Told
from harness.scenario.load import load_text
from harness.verdict.data import (
    Anomaly,
    ExpectationResult,
    Fate,
    FaultOutcome,
    LostMessage,
    MessageId,
    Outcome,
    Place,
    VariantVerdict,
)
from tools.pages import DOCS, with_table

SCENE, IN_ORDER = SCENES
NUMBERS = {place.name: number for number, place in enumerate(SCENE.places, start=1)}


def verdict() -> VariantVerdict:
    history, of = recorded()
    return judge(history, of, name="guarantee")


def lost(message: str, queue: str = "plain", fault: int | None = None) -> LostMessage:
    publisher, _, seq = message.partition("#")
    return LostMessage(MessageId(publisher, int(seq)), queue, Place.UNKNOWN, "", fault, "", 0.0, ())


def anomaly(kind: str, message: str) -> Anomaly:
    publisher, _, seq = message.partition("#")
    return Anomaly(kind, MessageId(publisher, int(seq)), "", ())


def told(lie: str, place: str = "plain", seq: int = 7, queue: str = "") -> Told:
    known = lies()[lie]
    return Told(lie, 1, NUMBERS[place], seq, 1, queue or (place if known.of_copies else ""), "worker-1", 0)


# The scenes.


@pytest.mark.parametrize("client", ["pika", "fast"])
@pytest.mark.parametrize("beside", Beside)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_scene_is_a_scenario_that_is_right(scene: Scene, beside: Beside, client: str) -> None:
    loaded = load(scene, beside, client)  # type: ignore[arg-type]
    assert loaded.scenario.client == client
    assert len(loaded.scenario.timeline) == (beside is not Beside.NOTHING)
    assert [group.actors for group in loaded.scenario.publishers] == [(place.publisher,) for place in scene.places]


def test_every_lie_fits_somewhere_and_is_ordered_before_the_fault_and_after_it() -> None:
    for scene in SCENES:
        fitting = {lie.name for lie in lies().values() if any(lie.fits(place) for place in scene.places)}
        drawn = draw_orders(scene, Beside.NOTHING, lies(), Random(1))
        for window in (Window.BEFORE, Window.AFTER):
            first, last = WINDOWS[window]
            mine = [order for order in drawn if order.window == window]
            assert {order.lie for order in mine} == fitting
            assert all(first <= order.first <= order.last <= last for order in mine)
    assert {order.lie for scene in SCENES for order in draw_orders(scene, Beside.NOTHING, lies(), Random(1))} == set(
        lies()
    )


def test_lies_are_told_in_queues_with_limits_and_times_to_live_and_dead_letters_and_in_each_copy() -> None:
    everywhere = {"plain", "ttl", "limit", "dead", "copy-a", "copy-b"}
    by_lie: dict[str, set[str]] = {}
    for order in draw_orders(SCENE, Beside.CUT, lies(), Random(1)):
        by_lie.setdefault(order.lie, set()).add(order.queue)
    for name in (
        "dropped after the queue",
        "corrupted",
        "ack swallowed",
        "delivered twice, at once",
        "delivered from another queue",
    ):
        assert by_lie[name] == everywhere
    assert by_lie["delivered from a sibling's queue"] == {"copy-a", "copy-b"}


def test_while_a_fault_strikes_those_lies_are_told_that_an_honest_broker_may_leave_the_same_as() -> None:
    meanwhile = {
        beside: {
            (order.lie, order.queue)
            for order in draw_orders(SCENE, beside, lies(), Random(1))
            if order.window == Window.MEANWHILE
        }
        for beside in Beside
    }
    assert meanwhile[Beside.NOTHING] == set()
    assert {queue for _, queue in meanwhile[Beside.PURGE]} == {"", "plain"}
    assert {lie for lie, _ in meanwhile[Beside.CUT]} == {
        "ack swallowed",
        "delivered twice, later",
        "delivered twice, later, marked as redelivered",
        "delivered twice, to another worker",
        "delivered twice, to another worker, marked as redelivered",
    }
    assert meanwhile[Beside.CUT] == meanwhile[Beside.RESTART] == meanwhile[Beside.WORKER_KILL]


@pytest.mark.parametrize("seed", range(20))
def test_no_lie_is_told_of_a_message_that_its_worker_rejects(seed: int) -> None:
    for order in draw_orders(SCENE, Beside.CUT, lies(), Random(seed)):
        # Nor of the one before it, with which it may be swapped.
        assert all((seq + 1) % REJECTED_EVERY for seq in range(order.first, order.last + 2))
        assert 0 <= order.first <= order.last < MESSAGES


def test_the_same_seed_draws_the_same_lies() -> None:
    assert draw_orders(SCENE, Beside.CUT, lies(), Random(3)) == draw_orders(SCENE, Beside.CUT, lies(), Random(3))
    assert draw_orders(SCENE, Beside.CUT, lies(), Random(3)) != draw_orders(SCENE, Beside.CUT, lies(), Random(4))


def test_only_the_lies_that_are_asked_for_are_told() -> None:
    assert {order.lie for order in draw_orders(SCENE, Beside.CUT, ["corrupted"], Random(1))} == {"corrupted"}
    assert draw_orders(SCENE, Beside.CUT, [], Random(1)) == []


def test_the_scene_of_the_order_tells_of_nothing_else() -> None:
    assert {place.traffic for place in IN_ORDER.places} == {Traffic.IN_ORDER}
    assert "order: true" in scenario(IN_ORDER, Beside.NOTHING)
    assert {order.lie for order in draw_orders(IN_ORDER, Beside.CUT, lies(), Random(1))} == {"swapped with the next"}


# What a verdict says.


def test_a_lie_is_found_where_its_message_is_named() -> None:
    said = replace(verdict(), lost=(lost("plain-1#7"),), anomalies=(anomaly("duplicate", "ttl-1#9"),))
    found = compare([told("dropped after the queue"), told("delivered twice, later", "ttl", 9)], said, SCENE)
    assert [(each.message, each.became, each.said) for each in found.lies] == [
        ("plain-1#7", Became.FOUND, ("lost",)),
        ("ttl-1#9", Became.FOUND, ("duplicate",)),
    ]
    assert found.invented == ()


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"lost": (lost("plain-1#8"),)},
        {"anomalies": (anomaly("duplicate", "plain-1#7"),)},
        {"lost": (lost("plain-1#7", "ttl"),)},
    ],
    ids=["nothing", "another message", "something else", "another queue"],
)
def test_a_lie_is_missed_where_its_message_is_not_named_for_what_it_is(said: dict[str, tuple[object, ...]]) -> None:
    found = compare([told("dropped after the queue")], replace(verdict(), **said), SCENE)  # type: ignore[arg-type]
    assert [each.became for each in found.lies] == [Became.MISSED]


def test_a_message_that_nobody_lied_about_is_an_invention() -> None:
    said = replace(verdict(), lost=(lost("plain-1#7"), lost("plain-1#8")), anomalies=(anomaly("corrupt", "ttl-1#1"),))
    found = compare([told("dropped after the queue")], said, SCENE)
    assert found.invented == ("plain-1#8: lost in plain", "ttl-1#1: corrupt")


def test_something_else_said_of_a_message_is_an_invention_unless_it_may_be_said_as_well() -> None:
    both = replace(verdict(), lost=(lost("plain-1#7"),), anomalies=(anomaly("corrupt", "plain-1#7"),))
    assert compare([told("corrupted")], both, SCENE).invented == ()
    assert compare([told("dropped after the queue")], both, SCENE).invented == ("plain-1#7: corrupt",)


@pytest.mark.parametrize("said", ["acknowledged and still there", "duplicate"])
def test_an_ack_that_is_swallowed_is_found_in_the_queue_or_by_what_it_leads_to(said: str) -> None:
    found = compare([told("ack swallowed")], replace(verdict(), anomalies=(anomaly(said, "plain-1#7"),)), SCENE)
    assert ([each.became for each in found.lies], found.invented) == ([Became.FOUND], ())


def test_a_message_that_is_dropped_before_the_exchange_is_lost_in_every_queue() -> None:
    one, both = (lost("fanout-1#7", "copy-a"),), (lost("fanout-1#7", "copy-a"), lost("fanout-1#7", "copy-b"))
    lie = told("dropped before the queue, confirmed alone", "fanout")
    assert [compare([lie], replace(verdict(), lost=said), SCENE).lies[0].became for said in (one, both)] == [
        Became.MISSED,
        Became.FOUND,
    ]


def test_an_unroutable_message_is_lost_in_no_queue() -> None:
    said = replace(verdict(), lost=(lost("nowhere-1#7", "nowhere/"),))
    assert compare([told("return swallowed", "nowhere")], said, SCENE).lies[0].became is Became.FOUND


def test_a_lie_that_a_fault_is_said_to_have_done_is_blamed_on_it() -> None:
    fault = FaultOutcome(0, "kill", "kill worker-1", "process", "#fff", 1.0, False, None, None, 1, None)
    said = replace(verdict(), lost=(lost("plain-1#7", fault=0),), faults=(fault,))
    (finding,) = compare([told("dropped after the queue")], said, SCENE).lies
    assert (finding.became, finding.blamed) == (Became.FOUND, "kill worker-1")


def test_a_broken_promise_is_no_excuse() -> None:
    fault = FaultOutcome(0, "restart", "restart n1", "broker", "#fff", 1.0, False, None, None, 1, None)
    said = replace(lost("plain-1#7", fault=0), setting=BROKEN_PROMISE.text)
    (finding,) = compare(
        [told("dropped after the queue")], replace(verdict(), lost=(said,), faults=(fault,)), SCENE
    ).lies
    assert (finding.became, finding.blamed) == (Became.FOUND, "")


def test_messages_without_a_name_are_counted() -> None:
    lie = replace(told("invented, without an identity"), publisher=0, seq=0)
    said = replace(verdict(), anomalies=(anomaly("phantom", NOBODY),))
    found = compare([lie, lie], said, SCENE)
    assert [each.became for each in found.lies] == [Became.FOUND, Became.MISSED]
    more = replace(verdict(), anomalies=(anomaly("phantom", NOBODY),) * 3)
    assert compare([lie, lie], more, SCENE).invented == ("nobody#0: phantom",)


def test_what_is_recovered_is_counted_and_more_of_it_is_no_invention() -> None:
    before = verdict()
    fates = {**before.counts.fates, Fate.RECOVERED: 2}
    said = replace(before, counts=replace(before.counts, fates=fates))
    lie = told("confirm swallowed", "once")
    assert compare([lie], said, SCENE) == replace(compare([lie], said, SCENE), invented=())
    assert [each.became for each in compare([lie] * 3, said, SCENE).lies] == [Became.FOUND, Became.FOUND, Became.MISSED]


@pytest.mark.parametrize("holds", [True, False])
def test_swaps_are_counted_where_the_order_is_violated(holds: bool) -> None:
    before = verdict()
    order = ExpectationResult("order", "true", str(holds).lower(), holds, stated=True)
    said = replace(before, counts=replace(before.counts, out_of_order=2), expectations=(order,))
    lie = told("swapped with the next")
    found = compare([lie], said, IN_ORDER)
    assert [each.became for each in found.lies] == [Became.MISSED if holds else Became.FOUND]
    assert found.invented == (() if holds else ("a message: out of order",))


def swapped(at_ns: int) -> Told:
    return replace(told("swapped with the next"), at_ns=at_ns)


@pytest.mark.parametrize(("redelivered", "became"), [(0, Became.MISSED), (2, Became.EXPLAINED)])
def test_a_swap_that_a_cut_undid_is_explained_and_none_that_was_told_apart_from_it(
    redelivered: int, became: Became
) -> None:
    before = verdict()
    order = ExpectationResult("order", "true", "false", False, stated=True)
    counts = replace(before.counts, out_of_order=1, redelivered=redelivered)
    said = replace(before, counts=counts, expectations=(order,))
    lies_told = [swapped(STRIKE.begin_ns), swapped(STRIKE.begin_ns - 2 * UNDER_WAY_NS)]
    found = compare(lies_told, said, IN_ORDER, STRIKE)
    assert {each.became for each in found.lies} == {Became.FOUND, became}
    again = compare([*lies_told, swapped(STRIKE.begin_ns - 3 * UNDER_WAY_NS)], said, IN_ORDER, STRIKE)
    assert [each.became for each in again.lies].count(Became.MISSED) == 2 - bool(redelivered)


STRIKE = Strike(10 * UNDER_WAY_NS, 11 * UNDER_WAY_NS, None)


def twice(at_ns: int, actor: str = "plain-worker-1") -> Told:
    return replace(told("delivered twice, later"), at_ns=at_ns, actor=actor)


def explaining(count: int) -> VariantVerdict:
    before = verdict()
    return replace(before, counts=replace(before.counts, duplicates=count, unexplained_duplicates=0))


@pytest.mark.parametrize(
    ("at_ns", "became"),
    [
        (9 * UNDER_WAY_NS - 1, Became.MISSED),
        (9 * UNDER_WAY_NS, Became.EXPLAINED),
        (12 * UNDER_WAY_NS, Became.EXPLAINED),
        (12 * UNDER_WAY_NS + 1, Became.MISSED),
    ],
)
def test_what_an_honest_broker_may_do_is_explained_if_it_is_told_while_a_fault_strikes(
    at_ns: int, became: Became
) -> None:
    assert compare([twice(at_ns)], explaining(1), SCENE, STRIKE).lies[0].became is became


def test_no_more_is_explained_than_the_verdict_explains() -> None:
    found = compare([twice(STRIKE.begin_ns)] * 3, explaining(2), SCENE, STRIKE)
    assert [each.became for each in found.lies] == [Became.EXPLAINED, Became.EXPLAINED, Became.MISSED]
    assert compare([], explaining(2), SCENE, STRIKE).invented == ()


def test_the_kill_of_one_worker_explains_nothing_of_the_others() -> None:
    strike = replace(STRIKE, actors=frozenset({"plain-worker-2"}))
    lies_told = [twice(STRIKE.begin_ns), twice(STRIKE.begin_ns, "plain-worker-2")]
    found = compare(lies_told, explaining(2), SCENE, strike)
    assert [each.became for each in found.lies] == [Became.MISSED, Became.EXPLAINED]


@pytest.mark.parametrize(
    ("said", "became", "invented"),
    [
        ([lost("plain-1#9")], Became.FOUND, ()),
        ([lost("plain-1#7")], Became.FOUND, ()),
        ([], Became.EXPLAINED, ()),
        ([lost("ttl-1#9")], Became.EXPLAINED, ("ttl-1#9: lost in plain",)),
        ([lost("plain-1#9"), lost("plain-1#10")], Became.FOUND, ("plain-1#10: lost in plain",)),
    ],
)
def test_one_of_several_that_may_have_been_purged_is_said_to_be_lost(
    said: list[LostMessage], became: Became, invented: tuple[str, ...]
) -> None:
    before = verdict()
    purged = replace(before.counts, fates={**before.counts.fates, Fate.REMOVED: 1})
    lie = replace(told("dropped after the queue"), at_ns=STRIKE.begin_ns)
    found = compare([lie], replace(before, counts=purged, lost=tuple(said)), SCENE, STRIKE)
    assert ([each.became for each in found.lies], found.invented) == ([became], invented)
    far = replace(lie, at_ns=STRIKE.begin_ns - 2 * UNDER_WAY_NS)
    if said != [lost("plain-1#7")]:
        assert compare([far], replace(before, lost=tuple(said)), SCENE, STRIKE).lies[0].became is Became.MISSED


def test_a_lie_that_no_honest_broker_leaves_the_same_as_is_never_explained() -> None:
    lie = replace(told("delivered twice, at once"), at_ns=STRIKE.begin_ns)
    assert compare([lie], explaining(1), SCENE, STRIKE).lies[0].became is Became.MISSED


# The table.


def run_of(
    *kinds: LieTold,
    beside: Beside = Beside.NOTHING,
    invented: tuple[str, ...] = (),
    outcome: Outcome = Outcome.VIOLATED,
) -> RunOfLies:
    return RunOfLies("lies", beside, "pika", "3.10.8", outcome, "", Path("reports/selftest/x"), kinds, invented)


def kind(lie: str, *, found: int, missed: int = 0, blamed: str = "") -> LieTold:
    said = replace(verdict(), lost=tuple(lost(f"plain-1#{seq}") for seq in range(found)))
    findings = compare([told(lie, seq=seq) for seq in range(found + missed)], said, SCENE).lies
    return LieTold(lie, tuple(replace(each, blamed=blamed) for each in findings))


def test_the_table_says_how_many_were_found_beside_what() -> None:
    runs = [
        run_of(kind("dropped after the queue", found=3)),
        run_of(kind("dropped after the queue", found=1, missed=1)),
        run_of(
            kind("dropped after the queue", found=2, blamed="purge plain"), beside=Beside.PURGE, invented=("x: lost",)
        ),
        run_of(outcome=Outcome.AS_EXPECTED),
    ]
    assert markdown(runs) == (
        "| lie | the verdict says | alone | purge |\n"
        "|---|---|---|---|\n"
        "| dropped after the queue | lost | 4 of 5 | 2 of 2, 2 blamed |\n"
        "| said of messages that nobody lied about | nothing | 0 | 1 |\n"
        "| no lies | as expected | 1 of 1 |  |\n"
    )


def test_the_table_says_what_honest_runs_leave_where_a_lie_is_explained() -> None:
    findings = compare([twice(STRIKE.begin_ns)], explaining(1), SCENE, STRIKE).lies
    told_of = run_of(LieTold("delivered twice, later", findings), beside=Beside.CUT)
    honest = replace(run_of(beside=Beside.CUT, outcome=Outcome.AS_EXPECTED), as_if={AsIf.DELIVERED_AGAIN: 5})
    sentence = (
        "\nExplained beside a worker kill, cut of all connections or broker restart: told while it struck. The connection of a worker was lost "
        "before its ack had surely arrived: then the broker delivers again"
    )
    assert "| delivered twice, later | duplicate | 0 of 1, 1 explained |" in markdown([told_of])
    assert markdown([told_of]).endswith(f"{sentence}.\n")
    assert markdown([told_of, honest]).endswith(f"{sentence}; without lies, that happened to 5 copies.\n")
    assert told_of.right


def test_a_run_is_right_if_all_is_told_and_found_and_nothing_else_is_said() -> None:
    right = kind("dropped after the queue", found=2)
    assert run_of(right).right
    assert not run_of(right, invented=("plain-1#1: lost",)).right
    assert not run_of(right, kind("corrupted", found=0, missed=1)).right
    assert not run_of(right, LieTold("corrupted", ())).right
    assert not run_of(kind("dropped after the queue", found=1, blamed="kill worker-1")).right
    assert not run_of(right, outcome=Outcome.INCONCLUSIVE).right
    assert run_of(outcome=Outcome.AS_EXPECTED).right
    assert not run_of(outcome=Outcome.INCONCLUSIVE).right


def test_the_last_sentence_says_whether_the_verdicts_were_right() -> None:
    right, wrong = run_of(kind("dropped after the queue", found=2)), run_of(kind("corrupted", found=0, missed=1))
    assert closing([right, run_of(outcome=Outcome.AS_EXPECTED)]).startswith("Right: each of 2 lies was found")
    assert closing([right, wrong]) == "1 of 2 verdicts is wrong: see above"
    assert "no lies" not in markdown([right])


def test_a_run_that_is_wrong_is_described_by_message() -> None:
    wrong = run_of(
        kind("dropped after the queue", found=1, missed=1, blamed="kill worker-1"),
        LieTold("corrupted", ()),
        invented=("ttl-1#1: lost in ttl",),
    )
    assert list(described(wrong)) == [
        "lies, alone, client pika, RabbitMQ 3.10.8: lies found: 1 of 2; the verdict is violated",
        "  missed      dropped after the queue: plain-1#1 in plain (nothing said, blamed on kill worker-1)",
        "  blamed      dropped after the queue: plain-1#0 in plain (lost, blamed on kill worker-1), "
        "plain-1#1 in plain (nothing said, blamed on kill worker-1)",
        "  not told    corrupted: no message suited it",
        "  invented    ttl-1#1: lost in ttl",
        "  the run is in reports/selftest/x",
    ]


def test_the_result_as_json_has_every_message() -> None:
    told_of: Any = as_json([run_of(kind("dropped after the queue", found=1, missed=1))], seed=5)
    assert (told_of["seed"], told_of["right"]) == (5, False)
    (run,) = told_of["runs"]
    (lie,) = run["lies"]
    assert (lie["lie"], lie["must_say"], lie["told"], lie["found"], lie["explained"]) == (
        "dropped after the queue",
        "lost",
        2,
        1,
        0,
    )
    assert [(each["message"], each["became"]) for each in lie["messages"]] == [
        ("plain-1#0", "found"),
        ("plain-1#1", "missed"),
    ]


@pytest.mark.parametrize(("page", "target"), [("verdicts.md", "lies"), ("reliability.md", "fuzz")])
def test_a_table_takes_its_place_in_the_documentation(page: str, target: str) -> None:
    begin, end = f"<!-- begin: make {target} -->", f"<!-- end: make {target} -->"
    text = f"before\n{begin}\n| old |\n{end}\nafter\n"
    assert with_table(text, target, "| new \\1 |\n") == f"before\n{begin}\n| new \\1 |\n{end}\nafter\n"
    assert with_table((DOCS / page).read_text(encoding="utf-8"), target, "") != ""
    with pytest.raises(ValueError, match="the page has no"):
        with_table("nothing", target, "")


def test_every_find_is_asked_of_some_lie() -> None:
    assert {find for lie in lies().values() for find in lie.finds} == set(Find)


def test_a_scenario_of_lies_can_be_read_by_anybody(tmp_path: Path) -> None:
    text = scenario(SCENE, Beside.CUT)
    assert load_text(text, tmp_path / "lies.yaml", actions()).scenario.name == "lies, cut of all connections"


# The command.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["latest", "--broker", "native"], "give one of the two"),
        (["--broker", "nonsense"], "--broker must be auto, container, native"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_started(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["selftest", *arguments])
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)


def test_each_scene_is_run_alone_with_both_clients_and_beside_one_fault_or_all() -> None:
    drawn = list(planned(None, 1, everything=False))
    assert [(each.scene.name, each.client) for each in drawn if each.beside is Beside.NOTHING] == [
        (scene.name, client) for scene in SCENES for client in ("pika", "fast")
    ]
    assert [each.scene.name for each in drawn if each.beside is not Beside.NOTHING] == [scene.name for scene in SCENES]
    assert not any(each.honest for each in drawn)
    assert drawn == list(planned(None, 1, everything=False))
    assert {(each.scene.name, each.beside, each.client, each.honest) for each in planned(None, 1, everything=True)} == {
        (scene.name, beside, client, honest)
        for scene in SCENES
        for beside in Beside
        for client in ("pika", "fast")
        for honest in (True, False)
    }
    assert {each.client for each in planned("fast", 1, everything=True)} == {"fast"}
