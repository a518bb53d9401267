"""Every block of README.md, CONTRIBUTING.md and docs/ is right: each kind is checked, and each kind of mistake is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.faults.registry import actions
from harness.scenario.reference import reference
from harness.scenario.schema import schema
from harness.verdict.data import Fate
from tests.unit.doc_blocks import PAGES, ROOT, Checker, blocks
from tests.unit.test_docs_recipes import EXTENDING, FOREIGN
from tools.message_lives import FATES, pictures

pytestmark = pytest.mark.seconds

TARGET = re.compile(r"\]\(([^)#:\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_and_command_of_the_page_is_right(page: Path, tmp_path: Path) -> None:
    foreign = FOREIGN if page == EXTENDING else frozenset()
    assert Checker(tmp_path, foreign).check(page.read_text(encoding="utf-8")) == []


MISTAKES = {
    "a block without a language": ("```\nchaos run scenarios\n```", "no language"),
    "a command hidden in a text": ("```text\nchaos run scenarios\n```", "in a text block"),
    "a program that nobody knows": ("```console\n$ frobnicate\n```", "frobnicate"),
    "a command that does not exist": ("```console\n$ chaos rum scenarios\n```", "rum"),
    "an option that does not exist": ("```console\n$ chaos run scenarios --speed 3\n```", "--speed"),
    "an option's value": ("```console\n$ chaos run scenarios -j many\n```", "many"),
    "a broker that does not exist": ("```console\n$ chaos run scenarios --broker cloud\n```", "cloud"),
    "a missing argument": ("```console\n$ chaos run\n```", "Missing argument"),
    "a file that does not exist": ("```console\n$ chaos run scenarios/nothing.yaml\n```", "nothing.yaml"),
    "a make target": ("```console\n$ make tea\n```", "tea"),
    "a script": ("```console\n$ bash .ci/walk\n```", "walk"),
    "a value of Dask's": ("```console\n$ dask worker tcp://127.0.0.1:8786 --nthreads many\n```", "many"),
    "a pytest option": ("```console\n$ pytest scenarios --chaos-sead 3\n```", "--chaos-sead"),
    "another output": ("```console\n$ chaos validate scenarios/redeclare.yaml\nall is well\n```", "and not"),
    "a failing command": (
        '```yaml title="wrong.yaml"\nname: x\n```\n```console\n$ chaos validate wrong.yaml\n```',
        "failed",
    ),
    "a command in a sentence": ("Try `chaos run --speed 3`.", "--speed"),
    "a command in a table": ("| a |\n|---|\n| `chaos frob` |\n", "frob"),
    "a wrong scenario": ("```yaml\nname: x\npublishers: {mesages: 3}\n```", "mesages"),
    "a part that is no whole": ("```yaml\nworkers: {count: 2}\n```", "publishers"),
    "a wrong part": ("```yaml\n# part of a scenario\nworkers: {cuont: 2}\n```", "cuont"),
    "a trigger that is never met": (
        "```yaml\n# part of a scenario\ntimeline:\n  - {after: {confirmed: 99000}, kill: worker}\n```",
        "never reached",
    ),
    "a scenario that is right and must be wrong": (
        '```yaml title="wrong.yaml"\nname: x\npublishers: {messages: 3}\n```',
        "is not",
    ),
    "a scenario that does not say what it can produce": (
        "```yaml\nname: x\nqueues: {tasks: {message_ttl: 1s}}\npublishers: {messages: 3}\n```",
        "expect says nothing of expired",
    ),
    "a scenario that is to be warned of and is not": (
        '```yaml title="warned.yaml"\nname: x\npublishers: {messages: 3}\n```',
        "is not",
    ),
    "a workflow's command": (
        '```yaml title=".github/workflows/x.yml"\njobs: {a: {steps: [{run: .venv/bin/chaos rum scenarios}]}}\n```',
        "rum",
    ),
    "a compose file's port": (
        '```yaml title="compose.yaml"\nservices: {queue: {hostname: a, ports: ["5672"]}}\n```',
        "no fixed AMQP port",
    ),
    "a compose service": ("```console\n$ chaos run scenarios --broker compose:compose.yaml:rabit\n```", "rabit"),
}


@pytest.mark.parametrize(("page", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_page_is_found(page: str, said: str, tmp_path: Path) -> None:
    wrong = Checker(tmp_path).check(page)
    assert len(wrong) == 1
    assert said in wrong[0]


def test_a_page_without_a_mistake_is_right(tmp_path: Path) -> None:
    page = "```console\n$ chaos init a.yaml\n$ chaos validate a.yaml\na.yaml: my first scenario: ...\n```\nTry `chaos run`."
    assert Checker(tmp_path).check(page) == []


def test_code_is_shown_only_where_it_is_run() -> None:
    shown = {
        page
        for page in PAGES
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language in ("python", "toml", "diff")
    }
    assert shown == {EXTENDING}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=lambda page: page.name)
def test_links_outside_the_site_lead_somewhere(page: Path) -> None:
    targets = TARGET.findall(page.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_scenario_reference_is_current_and_has_every_key() -> None:
    made = schema(actions())
    written = (ROOT / "docs/scenario-reference.md").read_text(encoding="utf-8")
    assert written == reference(made), "write it anew: make schema"
    keys = {
        key for node in (made, *made["definitions"].values()) for key in node.get("properties", {}) if "." not in key
    }
    assert [key for key in keys if f"| `{key}` |" not in written] == []
    anchors = {
        re.sub(r"[^a-z0-9_\- ]", "", line.removeprefix("## ").lower()).replace(" ", "-")
        for line in written.splitlines()
        if line.startswith("## ")
    }
    assert set(re.findall(r"\(#([^)]+)\)", written)) <= anchors


def test_the_pictures_are_current_and_show_every_fate() -> None:
    assert set(FATES) == set(Fate)
    for path, text in pictures().items():
        assert path.read_text(encoding="utf-8") == text, "write it anew: make schema"
        assert all(f">{fate.value}<" in text for fate in Fate)


def test_every_shipped_scenario_shows_a_guarantee() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    assert [path.stem for path in (ROOT / "scenarios").glob("*.yaml") if f"`{path.stem}`" not in page] == []


def test_the_page_on_upgrading_names_every_count_whose_default_changed() -> None:
    before = {"lost", "unexplained_duplicates", "phantom", "corrupt", "stranded"}
    described = schema(actions())["definitions"]["Expectations"]["properties"]
    said = {name: each.get("description", "") for name, each in described.items()}
    now = {name for name, text in said.items() if "0 if not given" in text or "If not given, a run with some" in text}
    page = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    rows = {match[1]: match[2] for match in re.finditer(r"^\| `(\w+)` \|.*\| `([^`]*)` \|$", page, re.MULTILINE)}
    assert now - before <= set(rows)
    assert {name: rows[name] for name in now - before} == {name: f'{name}: ">= 0"' for name in now - before}
