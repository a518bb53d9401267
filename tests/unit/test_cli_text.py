"""What a file or a command line holds never steers the terminal or the CI system that shows what `chaos` says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import answer
from harness.errors import ExitCode, Problem
from harness.plain import lines
from tests.fuzz.attempt import Answer, Attempt, Flaw

EVIL = r"\e[2J\x9b1m\u202e\n::error file=x::planted"
"""As YAML and Python escape it: ANSI, a C1 control, a turn of the direction of writing, and a command for GitHub's runner."""
VALID = f"""\
name: "::error file=x::planted \\u202e"
description: "{EVIL}. {EVIL}"
queues: {{"::error file=x::planted": {{}}, "##[error]": {{}}}}
publishers: {{tasks: ["{EVIL}", b]}}
workers: {{}}
expect: {{processed_by: {{worker: ["{EVIL}", b]}}}}
controls:
  "::error file=x::planted": {{set: {{workers.acks: automatic}}, expect: {{lost: 0}}}}
"""


def flaws(capfd: pytest.CaptureFixture[str]) -> frozenset[Flaw]:
    said = capfd.readouterr()
    assert said.out + said.err
    return Attempt("", Answer(0, said.out, said.err), frozenset({ExitCode.AS_EXPECTED})).flaws


@pytest.mark.parametrize("command", ["validate", "plan", "list"])
def test_no_text_of_a_scenario_steers_what_shows_it(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(VALID, encoding="utf-8")
    assert answer([command, str(file)]) == ExitCode.AS_EXPECTED
    assert flaws(capfd) == frozenset()


def test_a_candidate_that_a_mistake_names_is_shown_on_the_line_of_the_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        f'name: x\npublishers: {{tasks: ["{EVIL}", b]}}\nworkers: {{}}\nexpect: {{processed_by: {{worker: ["zzzz"]}}}}\n',
        encoding="utf-8",
    )
    assert answer(["validate", str(file)]) == ExitCode.USAGE
    said = capfd.readouterr().err
    assert said == (
        f"{file}:4:34: expect.processed_by.worker.0: unknown task 'zzzz'; "
        "there are \\u001b[2J\\u009b1m\\u202e ::error file=x::planted and b\n"
    )


@pytest.mark.parametrize("name", ["a\n::error::planted.yaml", "\x1b[2Jplanted.yaml", "::error::planted"])
def test_the_name_of_a_file_is_shown_harmless(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["validate", name], ["init", name], ["init", name], ["list", name]):
        answer(arguments)
        assert flaws(capfd) == frozenset()


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "--\x1b[2Jplanted"],
        ["plan", "x", "--seed", "\x1b[2J"],
        ["run", "x", "--broker", "\x1b[2J\n::error::planted"],
        ["\x1b[2J\n::error::planted"],
        ["doctor", "planted", "\u202eevil"],
        ["report", "\x1b[2J\n::error::planted"],
        ["trace", "\x1b[2Jplanted", "x#1"],
    ],
    ids=ascii,
)
def test_a_wrong_command_line_is_shown_harmless(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer(arguments) == ExitCode.USAGE
    assert flaws(capfd) == frozenset()


def test_a_problem_is_one_line_whatever_it_quotes() -> None:
    said = str(Problem("a\nb", 1, 2, "queues.\x1b[2J", "no\u202e"))
    assert said == "a b:1:2: queues.\\u001b[2J: no\\u202e"
    assert lines(said) == said
    assert json.loads(json.dumps(said)) == said
