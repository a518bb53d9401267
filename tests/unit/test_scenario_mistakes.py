"""Every mistake is told with its place, in words for people, and all of a file's mistakes at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode, ScenarioError
from harness.faults.registry import actions
from harness.scenario.load import load, load_all
from tests.unit.scenario_samples import MISTAKES, Case


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path, actions())
    assert caught.value.exit_code is ExitCode.USAGE
    return [str(problem).removeprefix(str(path)).removeprefix(":").strip() for problem in caught.value.problems]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_mistake_is_told_word_for_word(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(case.text, encoding="utf-8")
    assert problems_of(path) == list(case.problems)


def test_no_message_speaks_of_the_machinery() -> None:
    everything = "\n".join(line for case in MISTAKES for line in case.problems)
    for word in ("pydantic", "Input should", "function-", "Traceback", "NoneType", "dict", "ruamel", "tag:yaml"):
        assert word not in everything


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name, text in (("b.yaml", "name: b\n"), ("a.yml", "nam: a\npublishers: {messages: 5}\n"), ("c.txt", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    missing = tmp_path / "missing.yaml"
    with pytest.raises(ScenarioError) as caught:
        load_all([tmp_path, missing], actions())
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/a.yml:1:1: nam: unknown key, did you mean name?",
        f"{tmp_path}/b.yaml:1:1: publishers: is missing",
        f"{missing}: cannot be read: no such file or directory",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name: x\ndescription: \xe2\x98\x83 caf\xe9\n", "2:19: is not UTF-8 text: byte 0xe9 is out of place"),
        (b"name: x\r\ndescription:\r  caf\xe9\n", "3:6: is not UTF-8 text: byte 0xe9 is out of place"),
        (b"name: x\rx: a\x00b\n", "2:5: holds the control character U+0000"),
        (b"name: x\ndescription: caf\xe9\n", "2:17: is not UTF-8 text: byte 0xe9 is out of place"),
        ("name: x\n".encode("utf-16"), "1:1: is not UTF-8 text: byte 0xff is out of place"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "1:1: holds the control character U+007F"),
        (b"name: a\x00b\n", "1:8: holds the control character U+0000"),
        (b'name: "\\ud800"\n', "1:7: name: holds half a character (a lone surrogate)"),
        (b"[" * 20_000, "1:82: is nested deeper than 40 levels"),
        (b"name: " + b"[" * 60 + b"]" * 60, "1:47: " + "name" + ".0" * 40 + ": is nested deeper than 40 levels"),
        (b"seed: " + b"9" * 5000, "1:7: seed: "),
        (b"x" * (1 << 20) + b"x", "is larger than 1 MiB: this is no scenario"),
        (b"%YAML 9.9\n---\nname: x\n", "1:1: is no valid YAML: found incompatible YAML document"),
    ],
    ids=[
        "mixed",
        "line ends",
        "nul after one",
        "latin-1",
        "utf-16",
        "binary",
        "nul",
        "surrogate",
        "brackets",
        "deep",
        "digits",
        "huge",
        "directive",
    ],
)
def test_garbage_is_told_with_its_place(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    assert any(problem.startswith(expected) for problem in problems_of(path))


def test_a_file_that_never_ends_is_refused() -> None:
    assert problems_of(Path("/dev/zero")) == ["is larger than 1 MiB: this is no scenario"]


def test_a_folder_is_no_file_and_a_folder_without_scenarios_is_a_mistake(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == ["cannot be read: is a directory"]
    with pytest.raises(ScenarioError, match=r"is a folder without scenarios \(\*\.yaml, \*\.yml\)"):
        load_all([tmp_path], actions())
