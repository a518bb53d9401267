from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.events import ProcessStarted
from harness.report.charts import timeline
from harness.report.figures import SHOWN_NAMES
from harness.report.html import LISTED_MESSAGES, html
from harness.report.lanes import lanes
from harness.report.markdown import markdown
from harness.report.templates import embedded_json
from harness.verdict.data import Fate, Outcome
from harness.verdict.times import Outage
from tests.unit import report_samples as samples
from tests.unit.histories import V

ALLOWED_SCRIPTS = 5
"""The messages one by one, the charts' data, BokehJS, what draws them, and the page's own."""
VOID = {"meta", "br", "link", "input", "img", "hr"}


class Page(HTMLParser):
    """A page's elements, its text outside of scripts and styles, and whether its elements close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def unpacked(charts: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(charts, validate=True)))


def rendered(sample: samples.Sample) -> str:
    return html(
        sample.run,
        histories=sample.histories,
        resolved_scenario=sample.resolved,
        broker_logs=sample.logs,
        scenarios=sample.scenarios,
    )


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: rendered(make()) for name, make in samples.ALL.items()}


@pytest.mark.parametrize("name", samples.ALL)
def test_every_run_has_a_page_that_is_well_formed_and_small(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert page.open == []
    assert len(pages[name].encode()) < 2_000_000
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identities) == len(set(identities))
    for _, attributes in page.elements:
        href = attributes.get("href")
        assert href is None or href.removeprefix("#") in identities, href


@pytest.mark.parametrize("name", samples.ALL)
def test_no_page_loads_anything(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert not [tag for tag, attributes in page.elements if tag in ("link", "img", "iframe") or "src" in attributes]
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    allowed = re.search(r"script-src ([^;]*);", policy)
    assert allowed is not None
    scripts = re.findall(r"<script>(.*?)</script>", pages[name], flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    assert allowed[1].split() == [f"'sha256-{each}'" for each in hashes]


def test_the_verdict_comes_before_everything_else(pages: dict[str, str]) -> None:
    text = Page(pages["passing"]).text
    positions = [
        text.index(said) for said in ("as expected 40 tasks: all done", "The guarantee beside its controls", "Timeline")
    ]
    assert positions == sorted(positions)


def test_the_guarantee_stands_beside_its_controls(pages: dict[str, str]) -> None:
    text = Page(pages["passing"]).text
    assert "guarantee lost 0 0 ✓ ok" in text
    assert "transient messages publishers.persistent: false lost >= 1 5 ✓ ok" in text
    assert "non-durable queue queues.tasks.durable: false lost >= 1 9 ✓ ok" in text


def test_a_page_says_whose_publishers_and_workers_ran(pages: dict[str, str]) -> None:
    text = Page(pages["passing"]).text
    assert (
        "Publishers and workers the harness's own, with the settings of the scenario; no program of yours ran" in text
    )


def test_a_dead_letter_queue_is_told_from_a_queue_that_lost_everything() -> None:
    sample = samples.fan_out()
    variant = sample.run.variants[0]
    by_queue = variant.by_queue | {"dead": dict.fromkeys(Fate, 0)}
    run = replace(sample.run, variants=(replace(variant, by_queue=by_queue),))
    text = Page(rendered(replace(sample, run=run))).text
    said = "nothing was published to it; dead letters count in the queue that they were first put in"
    assert f"counts 13 7 20 dead {said} all 33 7 40" in text
    assert f"- dead: {said}\n" in markdown(run)


def test_a_step_says_how_far_its_trigger_had_come() -> None:
    sample = samples.failing(3)
    variant = sample.run.variants[0]
    fault = replace(variant.faults[0], trigger="after 600 processed", counted={"processed": 602})
    run = replace(sample.run, variants=(replace(variant, faults=(fault,)),))
    assert "after 600 processed (by then: 602 processed)" in Page(rendered(replace(sample, run=run))).text


def test_the_accounting_adds_up_to_what_was_published(pages: dict[str, str]) -> None:
    text = Page(pages["failing"]).text
    assert re.search(r"processed 20 6\.0% lost 312 94\.0% published 332", text)
    assert "the fates sum to" not in text
    sample = samples.failing(3)
    variant = sample.run.variants[0]
    wrong = replace(variant, counts=replace(variant.counts, fates={Fate.PROCESSED: 1}))
    text = Page(rendered(replace(sample, run=replace(sample.run, variants=(wrong,))))).text
    assert "(the fates sum to 1)" in text


def test_lost_messages_are_listed_with_their_lives_up_to_a_stated_cap(pages: dict[str, str]) -> None:
    page = Page(pages["failing"])
    assert "312 lost messages, by cause" in page.text
    (listed,) = json.loads(page.scripts[0]).values()
    texts, rows = listed["texts"], listed["rows"]
    assert len(rows) == 312
    assert texts[rows[0][0]] == "publisher-1#20"
    assert "last seen at" in texts[rows[0][1]]
    life = [[texts[number] for number in rows[0][place + 1 : place + 4]] for place in range(2, len(rows[0]), 4)]
    assert ["delivered", "worker-1/1", "from tasks"] in life
    assert "The list holds the first" not in page.text
    many = Page(rendered(samples.failing(LISTED_MESSAGES + 200)))
    assert len(json.loads(many.scripts[0])["variant-1-lost"]["rows"]) == LISTED_MESSAGES
    assert "The list holds the first 1,000 of 1,200." in many.text


def test_messages_done_twice_are_listed_with_their_lives(pages: dict[str, str]) -> None:
    page = Page(pages["every fate"])
    listed = json.loads(page.scripts[0])["variant-1-twice"]
    texts, rows = listed["texts"], listed["rows"]
    assert [texts[row[0]] for row in rows] == [f"publisher-1#{seq}" for seq in range(5)]
    assert texts[rows[0][1]] == "in tasks, done 2 times: connection lost, worker-1"
    assert texts[rows[4][1]] == "in tasks, done 2 times: unexplained"
    assert "delivered" in [texts[number] for number in rows[0][3::4]]


def test_the_cap_is_shared_by_the_variants() -> None:
    sample = samples.failing(150)
    variant = sample.run.variants[0]
    run = replace(sample.run, variants=tuple(replace(variant, name=f"v{number}") for number in range(8)))
    page = Page(rendered(replace(sample, run=run, histories={})))
    lists = json.loads(page.scripts[0])
    assert len(lists) == 8
    assert {len(each["rows"]) for each in lists.values()} == {LISTED_MESSAGES // 8}
    assert page.text.count(f"The list holds the first {LISTED_MESSAGES // 8} of 150.") == 8


def test_faults_and_the_brokers_log_around_them_are_shown(pages: dict[str, str]) -> None:
    text = Page(pages["passing"]).text
    assert "restart n1" in text
    assert "Log of n1 around step 1, restart n1" in text
    assert "[info] started" in text


def test_the_brokers_warnings_and_errors_are_shown_without_a_fault_and_open(pages: dict[str, str]) -> None:
    sample = samples.fan_out()
    variant = sample.run.variants[0]
    quiet = replace(sample.run, variants=(replace(variant, faults=()),))
    logs = {V: {"n1": "2026-11-24 09:00:00.100000+00:00 [error] <0.1.0> Channel error on connection <0.2.0>"}}
    page = Page(rendered(replace(sample, run=quiet, logs=logs)))
    assert "Warnings and errors in the log of n1: 1 line 2026-11-24 09:00:00.100000+00:00 [error]" in page.text
    assert "open" in [each for tag, each in page.elements if tag == "details"][-2]
    assert "Warnings and errors" not in Page(pages["failing"]).text, "what was logged is no complaint"


def test_what_holds_in_a_run_that_proved_nothing_is_not_called_ok(pages: dict[str, str]) -> None:
    text = Page(pages["infrastructure"]).text
    assert "? not proved" in text
    assert "✓" not in text


def test_charts_have_their_data_and_tables_that_say_the_same(pages: dict[str, str]) -> None:
    page = Page(pages["passing"])
    charts = unpacked(page.scripts[1])
    places = [f"variant-{number}-{name}" for number in (1, 2, 3) for name in ("chart", "latency")]
    assert [chart["id"] for chart in charts] == places
    assert [attributes["id"] for _, attributes in page.elements if attributes.get("class") == "chart"] == places
    assert page.text.count("The lines as a table") == 6
    assert page.text.count("The lanes as a table") == 3


def test_outages_carry_their_length_and_lost_messages_are_marked_in_the_lane_of_their_holder() -> None:
    sample = samples.failing(3)
    variant = replace(sample.run.variants[0], outages=(Outage("workers", 0.01, 1.51),))
    chart = timeline(variant, None, lanes(sample.histories[V]))
    assert chart is not None
    text = json.dumps(chart)
    assert "1.5 s" in text
    assert "1 lost message, last seen at worker-1" in text
    assert "would have kept them" in text


def test_a_failed_page_says_first_what_was_lost_where_when_why_and_what_to_change(pages: dict[str, str]) -> None:
    text = Page(pages["failing"]).text
    said = text[text.index("What was lost, and what to change") : text.index("Replay")]
    assert re.search(
        r"312 of 332 worker-1 \d\.\d\d s acknowledged before the work was done, then kill worker-1 workers\.acks: manual",
        said,
    )
    assert "What was lost, and what to change" not in Page(pages["passing"]).text


def test_a_failed_page_says_first_what_was_not_done_and_what_to_change(pages: dict[str, str]) -> None:
    text = Page(pages["every fate"]).text
    first = text[: text.index("Replay")]
    assert "What was not done, and what to change" in first
    assert "3 lost of" in first
    assert re.search(
        r"16 to 18 dropped of [\d,]+ tasks — by the length limit of tasks queues.tasks.overflow: reject-publish or a greater limit",
        first,
    )
    assert re.search(r"20 removed of [\d,]+ tasks — from tasks by purge tasks —", first)
    assert "What was lost, and what to change" in Page(pages["failing"]).text


def test_every_fate_has_a_row_a_column_and_its_bounds(pages: dict[str, str]) -> None:
    text = Page(pages["every fate"]).text
    assert "Lost 3 to 5" in text
    assert re.search(r"Not done otherwise 140 14 never promised, 15 stranded, .*16 to 18 dropped", text)
    for fate in Fate:
        assert re.search(rf" {fate.value} (2 of them possibly lost )?\d", text)
    head = text[text.index("By queue") :]
    assert " ".join(fate.value for fate in Fate) + " sum" in head.replace("Queue ", "")


def test_of_a_run_that_was_cut_short_lost_is_a_bound_wherever_it_stands() -> None:
    sample = samples.failing(3)
    cut = replace(sample.run.variants[0], causes=(), outcome=Outcome.INTERRUPTED)
    text = Page(rendered(replace(sample, run=replace(sample.run, variants=(cut,))))).text
    assert "Lost up to 3" in text
    assert "lost up to 3" in text[text.index("What became of every") :]


def test_the_flow_counts_what_was_acknowledged_and_is_still_there() -> None:
    sample = samples.failing(3)
    variant = sample.run.variants[0]
    kept = replace(variant, counts=replace(variant.counts, kept_after_ack=4))
    text = Page(rendered(replace(sample, run=replace(sample.run, variants=(kept,))))).text
    assert "acknowledged and still there 4" in text


def test_what_was_done_twice_stands_in_a_table_with_its_reason(pages: dict[str, str]) -> None:
    text = Page(pages["every fate"]).text
    assert re.search(
        r"4 connection lost worker-1 1, kill worker-1 at [\d.]+ s workers.acks: early 1 unexplained — — —", text
    )
    assert "4 done twice. 1 with no reason." in text


def test_messages_and_copies_are_both_said_where_they_differ(pages: dict[str, str]) -> None:
    text = Page(pages["fan-out"]).text
    for said in (
        "20 tasks in 40 copies: 33 done, 7 lost",
        "7 of 40 copies",
        "33 82.5% of 40 copies",
        "17.5% of 40 promised copies",
        "What became of every copy",
        "7 lost copies, by cause",
        "How often copies were delivered",
        "bills 20 0 20 counts 13 7 20",
    ):
        assert said in text
    assert not re.search("copies:|every copy|lost copies|promised copies", Page(pages["failing"]).text)


def test_every_queue_has_a_line_and_a_column_of_what_waited_in_it(pages: dict[str, str]) -> None:
    page = Page(pages["fan-out"])
    lines = [each["data-line"] for tag, each in page.elements if tag == "button" and "data-line" in each]
    assert lines[-2:] == ["queue 0", "queue 1"]
    assert "waiting in bills counts" in page.text
    lines_as_table = page.text[page.text.index("The lines as a table") : page.text.index("The lanes as a table")]
    heads, cells = lines_as_table.split("waiting in counts")
    assert heads.endswith("in flight after waiting in bills ")
    assert re.match(r" 0\.00 s( \d+){9}", cells), "five rates, backlog, in flight and two queues"
    charts = next(text for text in page.scripts if text.startswith("H4sI"))
    assert {"queue 0", "queue 1"} <= set(re.findall(r'"(queue \d)"', json.dumps(unpacked(charts))))
    assert "waiting in tasks" not in Page(pages["infrastructure"]).text, "nothing is known of its scenario"


def test_the_tables_by_queue_publisher_and_worker_add_up(pages: dict[str, str]) -> None:
    text = Page(pages["failing"]).text
    for name in ("By queue", "By publisher", "By worker"):
        assert re.search(rf"{name} .*? all 20 312 332", text), name
    assert "worker-2 20 0 20 worker-1 0 312 312" in text


def test_of_many_queues_those_that_matter_are_shown_and_the_sums_are_of_all() -> None:
    made = samples.failing(3)
    (before, *_) = made.run.variants
    queues = {f"q{number:04}": {Fate.PROCESSED: number % 7} for number in range(1000)} | {"q0999": {Fate.LOST: 1}}
    run = replace(made.run, variants=(replace(before, by_queue=queues),))
    text = Page(rendered(replace(made, run=run))).text
    table = text[text.index("By queue") : text.index("By publisher")]
    assert "q0999" in table
    assert len(re.findall(r"q\d{4}", table)) == SHOWN_NAMES
    assert "20 of 1,000: those with the most that was not done" in table
    summary = markdown(run)
    assert "q0999: 1 lost" in summary
    assert len(re.findall(r"q\d{4}: ", summary)) == SHOWN_NAMES
    assert "and 980 more queues" in summary


def test_hostile_text_changes_nothing(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    assert len(page.scripts) == ALLOWED_SCRIPTS
    json.loads(page.scripts[0])
    unpacked(page.scripts[1])
    assert not re.search(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202e\u2066\ufffe]", pages["hostile"].replace(page.scripts[2], "")
    )
    assert "<script>document.title='hacked'</script></script><!--" in page.text, "it is shown as text"
    assert "{{ 7*7 }}" in page.text
    styles = [attributes["style"] for _, attributes in page.elements if attributes.get("style")]
    assert all("script" not in (style or "") for style in styles)


def test_hostile_actors_stay_within_the_charts_data() -> None:
    sample = samples.failing(3)
    started = ProcessStarted(at_ns=5, variant=V, role="worker", actor="</script><!--", incarnation=1, pid=1)
    history = replace(sample.histories[V], events=(*sample.histories[V].events, started))
    page = Page(rendered(replace(sample, histories={V: history})))
    assert len(page.scripts) == ALLOWED_SCRIPTS
    assert "</script><!--" in json.dumps(unpacked(page.scripts[1]))


def test_embedded_json_ends_no_script() -> None:
    value = {"</script>": ["<!--", "&", "\u2028", "é"]}
    text = str(embedded_json(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_a_run_without_histories_or_variants_has_a_page_without_charts(pages: dict[str, str]) -> None:
    assert len(Page(pages["without variants"]).scripts) == 2
    sample = samples.failing(3)
    text = Page(rendered(replace(sample, histories={}))).text
    assert "Nothing happened that could be drawn." in text


def test_huge_counts_are_written_in_full(pages: dict[str, str]) -> None:
    text = Page(pages["huge"]).text
    assert "1,000,000,000,000" in text
    assert "123,456,789" in text


def test_a_long_resolved_scenario_is_cut() -> None:
    sample = replace(samples.without_variants(), resolved="x" * 3_000_000)
    assert len(rendered(sample)) < 200_000
