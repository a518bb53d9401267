"""Loading right scenarios: variants, lines, folders; and that nothing but a ScenarioError ever comes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Problem, ScenarioError
from harness.faults.registry import actions
from harness.scenario.load import Loaded, load, load_all
from harness.scenario.scenario import BrokerModel
from tests.unit.scenario_samples import MISTAKES

SCENARIO = """\
name: two kills
description: >
  Both are shown.
broker: {permit: [transient_nonexcl_queues]}
publishers: {messages: 500}
workers: {count: 2, work: 1ms}
timeline:
  - after: {processed: 100}
    kill: worker-2
expect:
  lost: 0
  outage: {workers: < 5s}
controls:
  automatic acks:
    description: The broker forgets.
    set: {workers.acks: automatic, workers.prefetch: 7}
    expect: {lost: ">= 1"}
  non-durable queue:
    set: {queues.tasks.durable: false}
    expect:
      lost: 0
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load(path, actions())


def test_the_variants_are_the_guarantee_and_each_control_in_order(loaded: Loaded) -> None:
    guarantee, automatic, transient = loaded.variants()
    assert (guarantee.name, guarantee.settings) == ("guarantee", {})
    assert guarantee.scenario is loaded.scenario
    assert guarantee.description == "Both are shown."
    assert (automatic.name, automatic.description) == ("automatic acks", "The broker forgets.")
    assert automatic.settings == {"workers.acks": "automatic", "workers.prefetch": "7"}
    assert (automatic.scenario.workers[0].acks, automatic.scenario.workers[0].prefetch) == ("automatic", 7)
    assert automatic.scenario.queues["tasks"].durable
    assert not transient.scenario.queues["tasks"].durable
    assert transient.scenario.workers == loaded.scenario.workers


def test_a_control_expects_what_it_says_and_nothing_of_the_guarantee(loaded: Loaded) -> None:
    _, automatic, transient = loaded.variants()
    assert str(automatic.expect.lost) == ">= 1"
    assert automatic.expect.outage is None
    assert automatic.scenario.expect == automatic.expect
    assert automatic.scenario.controls == {}
    assert transient.expectation_path("lost") == "controls.non-durable queue.expect.lost"


def test_every_expectation_has_its_line(loaded: Loaded) -> None:
    guarantee, automatic, transient = loaded.variants()
    assert loaded.line_of(guarantee.expectation_path("lost")) == 11
    assert loaded.line_of(guarantee.expectation_path("outage.workers")) == 12
    assert loaded.line_of(automatic.expectation_path("lost")) == 17
    assert loaded.line_of(transient.expectation_path("lost")) == 21


def test_an_expectation_that_the_file_leaves_to_its_default_has_the_line_of_what_is_around_it(loaded: Loaded) -> None:
    guarantee, automatic, _ = loaded.variants()
    assert loaded.line_of(guarantee.expectation_path("phantom")) == 10
    assert loaded.line_of(automatic.expectation_path("phantom")) == 17
    assert loaded.line_of("drain.quiet") is None


def test_a_client_given_from_outside_is_every_variants(loaded: Loaded) -> None:
    fast = loaded.with_client("fast")
    assert {variant.scenario.client for variant in loaded.variants()} == {loaded.scenario.client} == {"pika"}
    assert {variant.scenario.client for variant in fast.variants()} == {fast.scenario.client} == {"fast"}
    assert [variant.settings for variant in fast.variants()] == [variant.settings for variant in loaded.variants()]
    assert fast.line_of("expect.lost") == loaded.line_of("expect.lost")


def test_folders_give_their_files_by_name_and_no_file_counts_twice(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "notes.txt"):
        (tmp_path / name).write_text(SCENARIO, encoding="utf-8")
    found = load_all([tmp_path / "b.yaml", tmp_path, tmp_path / "." / "a.yml"], actions())
    assert [one.path.name for one in found] == ["b.yaml", "a.yml"]


def test_a_backend_given_from_outside_decides_what_can_be_done(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.replace("kill: worker-2", "kill: broker"), encoding="utf-8")
    assert load(path, actions()).scenario.name == "two kills"

    def nothing(_broker: BrokerModel) -> frozenset[str]:
        return frozenset()

    with pytest.raises(ScenarioError, match=r":9:11: timeline\.0\.kill: this broker has no way to kill"):
        load(path, actions(), nothing)


def test_unset_and_whole_sections_can_be_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    text = SCENARIO.replace("{workers.acks: automatic, workers.prefetch: 7}", "{timeline: [], publishers.rate: 10}")
    path.write_text(text, encoding="utf-8")
    control = load(path, actions()).variants()[1]
    assert control.scenario.timeline == ()
    assert control.scenario.publishers[0].rate == 10
    assert control.settings == {"timeline": "[]", "publishers.rate": "10"}


@pytest.mark.parametrize(
    ("rate", "per_second", "catches_up"),
    [
        ("100", 100, False),
        ("{per_second: 100}", 100, False),
        ("{per_second: 0.5, catch_up: true}", 0.5, True),
        ("null", None, False),
    ],
)
def test_a_rate_is_a_bound_or_a_schedule_that_is_caught_up_with(
    tmp_path: Path, rate: str, per_second: float | None, catches_up: bool
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"name: x\npublishers: {{messages: 5, rate: {rate}}}\nworkers: {{}}", encoding="utf-8")
    (group,) = load(path, actions()).scenario.publishers
    assert (group.rate_per_s, group.catches_up) == (per_second, catches_up)


def _only_a_scenario_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    problems: tuple[Problem, ...] | None = None
    try:
        load(path, actions())
    except ScenarioError as error:
        problems = error.problems
    assert problems is None or problems
    assert all("\n" not in str(problem) for problem in problems or ())


@given(content=st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_scenario_error(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    _only_a_scenario_error(tmp_path_factory.getbasetemp() / "bytes.yaml", content)


WORDS = "name publishers messages workers queues tasks timeline after kill controls set expect lost true null".split()  # noqa: SIM905
MARKS = [": ", "- ", " ", "  ", "\n", "\n  ", "\t", "\u2028", "\ufeff", *"-:{}[],&*!|>'\"#%@?~"]
VALUES = ["5", "-1", "1e999", ".nan", "2ms", "<=", "...", "---", "<<", "!!int ", "!!set ", "!<x> ", "*a", "&a ", "\\x"]
PIECES = st.sampled_from([*WORDS, *MARKS, *VALUES])


@given(text=st.lists(PIECES, max_size=40).map("".join))
def test_no_near_yaml_raises_anything_but_a_scenario_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    _only_a_scenario_error(tmp_path_factory.getbasetemp() / "text.yaml", text.encode())


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    """A scenario of the corpus with a piece cut out, doubled or replaced."""
    text: str = draw(st.sampled_from([SCENARIO, *(case.text for case in MISTAKES)]))
    begin = draw(st.integers(0, len(text)))
    end = draw(st.integers(begin, min(len(text), begin + 12)))
    return text[:begin] + draw(st.one_of(PIECES, st.just(text[begin:end] * 2), st.text(max_size=5))) + text[end:]


@given(text=_damaged())
def test_no_damaged_scenario_raises_anything_but_a_scenario_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _only_a_scenario_error(tmp_path_factory.getbasetemp() / "damaged.yaml", text.encode("utf-8", "replace"))


def test_validating_imports_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys; from harness.scenario.load import load_all; from harness.faults.registry import actions; actions();"
        "print([name for name in ('pandas', 'numpy', 'docker', 'bokeh', 'pyarrow', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
