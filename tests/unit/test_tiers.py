"""No test is left out: each is run for every change (`.ci/run`) or every night (`.ci/nightly`), whatever its marks."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
MARKS = [*(re.split(r"[(:]", line)[0] for line in OPTIONS["markers"]), "hypothesis"]
"""Hypothesis marks its tests itself."""
WITH_VALUES = {"-m", "--numprocesses", "--dist"}


@dataclass(frozen=True)
class Command:
    """Which tests a pytest command runs."""

    expression: str
    paths: tuple[str, ...]

    def runs(self, marks: frozenset[str]) -> bool:
        """Whether it runs a test of these marks, if the test is below its paths."""

        def has(name: str, /, **_: str | int | bool | None) -> bool:
            return name in marks

        return Expression.compile(self.expression).evaluate(has)


def command(words: list[str]) -> Command:
    """Read what follows `pytest` in a command; the last `-m` holds, and the first one is the project's own."""
    given = iter([*shlex.split(OPTIONS["addopts"]), *words])
    expression, paths = "", []
    for word in given:
        if word in WITH_VALUES:
            value = next(given)
            expression = value if word == "-m" else expression
        elif not word.startswith("-"):
            paths.append(word)
    return Command(expression, tuple(paths))


def pytest_of(target: str) -> Command:
    """The pytest command of a target of the Makefile."""
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if " -m pytest " in line]
    return command(shlex.split(line.partition(" -m pytest ")[2]))


def targets(script: str) -> list[str]:
    """Name the targets that a script of the CI makes in this folder."""
    lines = (ROOT / ".ci" / script).read_text(encoding="utf-8").splitlines()
    made = [line.partition("make --no-print-directory ")[2].split() for line in lines if "make --no" in line]
    return [word for words in made if "-C" not in words for word in words]


def every_set_of_marks() -> Iterator[frozenset[str]]:
    return map(frozenset, chain.from_iterable(combinations(MARKS, size) for size in range(len(MARKS) + 1)))


@pytest.fixture(scope="module")
def change() -> Command:
    return pytest_of("test")


@pytest.fixture(scope="module")
def night() -> Command:
    return pytest_of("nightly")


def test_the_scripts_make_these_targets() -> None:
    assert "test" in targets("run")
    assert {"nightly", "lies", "fuzz", "mutants"} <= set(targets("nightly"))


def test_every_test_is_run_for_a_change_or_at_night(change: Command, night: Command) -> None:
    assert change.paths == night.paths == (), "all of testpaths"
    assert [sorted(marks) for marks in every_set_of_marks() if not change.runs(marks) and not night.runs(marks)] == []
    tests = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/test_*.py") if ".venv" not in path.parts}
    assert tests == set(OPTIONS["testpaths"])


def test_only_the_slow_tests_are_left_to_the_night(change: Command, night: Command) -> None:
    assert all(change.runs(marks) is ("slow" not in marks) for marks in every_set_of_marks())
    assert all(night.runs(marks) for marks in every_set_of_marks() if "slow" in marks)


def test_what_the_check_runs_the_ci_runs_too(change: Command) -> None:
    unit = pytest_of("unit")
    assert unit.paths == ("tests/unit",)
    assert all(change.runs(marks) for marks in every_set_of_marks() if unit.runs(marks))


@pytest.mark.parametrize(("workflow", "script"), [("ci", "run"), ("nightly", "nightly")])
def test_a_workflow_calls_each_script(workflow: str, script: str) -> None:
    jobs = YAML(typ="safe").load(ROOT / ".github" / "workflows" / f"{workflow}.yml")["jobs"]
    said = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert f"bash .ci/{script}" in said
