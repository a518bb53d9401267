"""What pytest says of options, scenarios and runs that are wrong: a sentence for each, no source of the harness, and no address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli import suite
from harness.cli.settings import Settings
from harness.errors import BrokerError
from harness.verdict.data import RunVerdict
from tests.unit import report_samples as samples

pytestmark = pytest.mark.seconds

pytest_plugins = ["pytester"]

SECRET = "hunter2"  # noqa: S105 - looked for below
URL = f"amqp://ann:{SECRET}@127.0.0.1:1/"
RIGHT = "name: one\npublishers: {messages: 10}\nworkers: {count: 1}\n"
KILLS_THE_BROKER = f"{RIGHT}timeline:\n  - after: {{processed: 3}}\n    kill: broker\n"
USAGE = 4
"""pytest's exit code for a command line that it cannot take."""

Runs = list[Settings]


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHAOS_BROKER", "CHAOS_REPORTS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """The settings of the runs that were started; each comes to a verdict as expected."""
    return started(monkeypatch, lambda _settings: samples.passing().run)


def started(monkeypatch: pytest.MonkeyPatch, end: Callable[[Settings], RunVerdict]) -> Runs:
    seen: Runs = []

    def run(_loaded: object, settings: Settings) -> tuple[RunVerdict, Path]:
        seen.append(settings)
        return end(settings), Path("reports/run")

    monkeypatch.setattr(suite, "run_quietly", run)
    return seen


def pytest_says(pytester: pytest.Pytester, *arguments: str) -> tuple[int, str]:
    """Run pytest; returns its exit code and all that it printed, which never holds the password."""
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)
    said = "\n".join([*result.outlines, *result.errlines])
    assert SECRET not in said
    assert "harness/" not in said.replace("harness/scenario/schema.json", ""), "source of the harness is shown"
    assert "Traceback" not in said
    return int(result.ret), said


def scenario(pytester: pytest.Pytester, text: str = RIGHT, name: str = "one.chaos.yaml") -> Path:
    path = pytester.path / name
    path.write_text(text, encoding="utf-8")
    return path


WRONG_OPTIONS: dict[str, tuple[list[str], str]] = {
    "no broker": (["--chaos-broker", "rubbish"], "--chaos-broker must be auto, container, "),
    "no address": (["--chaos-broker", f"amqp://ann:{SECRET}@:::::/"], "--chaos-broker: the broker's address "),
    "another protocol": (["--chaos-broker", f"http://ann:{SECRET}"], "--chaos-broker must be auto, container, "),
    "a slash too few": (["--chaos-broker", f"amqp:/ann:{SECRET}"], "--chaos-broker must be auto, container, "),
    "an address as a file": (["--chaos-broker", f"compose://{SECRET}:x@h"], "--chaos-broker must be auto, container, "),
    "reports below a device": (
        ["--chaos-reports", "/dev/null/x"],
        "the run directory cannot be made in /dev/null/x: Not a directory; choose another with --chaos-reports",
    ),
    "reports in a file": (["--chaos-reports", "one.chaos.yaml"], "choose another with --chaos-reports"),
    "reports of a long name": (["--chaos-reports", "x" * 300], "choose another with --chaos-reports"),
    "a negative seed": (["--chaos-seed=-99"], "Invalid value for '--chaos-seed': "),
    "a seed too large": (["--chaos-seed", str(2**63)], "Invalid value for '--chaos-seed': "),
    "a seed of letters": (["--chaos-seed", SECRET], "Invalid value for '--chaos-seed': "),
}


@pytest.mark.parametrize(("options", "sentence"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_a_wrong_option_is_refused_in_a_sentence_before_anything_is_collected(
    pytester: pytest.Pytester, runs: Runs, options: list[str], sentence: str
) -> None:
    scenario(pytester)
    scenario(pytester, name="two.chaos.yaml")
    code, said = pytest_says(pytester, *options)
    assert code == USAGE
    assert said.count(sentence) == 1
    assert "collected" not in said
    assert runs == []
    assert sorted(path.name for path in pytester.path.iterdir()) == ["one.chaos.yaml", "two.chaos.yaml"]


@pytest.mark.parametrize("seed", ["-99", str(2**63), "x"])
def test_a_seed_has_the_bounds_and_the_words_of_chaos_run(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], seed: str
) -> None:
    from harness.cli import answer  # noqa: PLC0415

    path = scenario(pytester)
    answer(["run", str(path), f"--seed={seed}"])
    words = capsys.readouterr().err.splitlines()[-1].removeprefix("Error: ")
    assert "'--seed'" in words
    assert words.replace("--seed", "--chaos-seed") in pytest_says(pytester, f"--chaos-seed={seed}")[1]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CHAOS_BROKER", f"amqp://ann:{SECRET}@:::::/", "--chaos-broker: the broker's address "),
        ("CHAOS_BROKER", "rubbish", "--chaos-broker must be "),
        ("CHAOS_REPORTS", "/dev/null/x", "the run directory cannot be made in /dev/null/x: "),
    ],
)
def test_a_wrong_environment_is_refused_once_where_there_are_scenarios_and_is_nothing_to_other_tests(
    pytester: pytest.Pytester, runs: Runs, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    pytester.makepyfile("def test_nothing(): pass")
    assert pytest_says(pytester)[0] == 0
    scenario(pytester)
    scenario(pytester, name="two.chaos.yaml")
    code, said = pytest_says(pytester)
    assert code == USAGE
    assert said.count(sentence) == 1
    assert runs == []


def test_a_wrong_environment_is_a_sentence_where_tests_are_spread_over_processes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOS_BROKER", "rubbish")
    scenario(pytester)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "1")
    said = result.stdout.str() + result.stderr.str()
    assert result.ret not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "--chaos-broker must be auto, container, " in said
    assert "fault of the harness" not in said
    assert "harness/" not in said


WRONG_FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "broken": ("name: [one\n", [":2:1: "]),
    "empty": ("", [": is empty; "]),
    "incomplete": ("name: one\n", [":1:1: publishers: is missing"]),
    "two mistakes": (f"{RIGHT}seed: x\nnmae: y\n", [":4:7: seed: ", ":5:1: nmae: "]),
    "no text": (b"\xff\xfe\xff", [": "]),
    "control characters": (f'{RIGHT}"\\e[2J\\u202e": 1\n', [":4:1: the key '\\x1b[2J\\u202e' "]),
}


@pytest.mark.parametrize(("content", "places"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_scenario_is_a_sentence_for_each_mistake_with_its_place(
    pytester: pytest.Pytester, runs: Runs, content: str | bytes, places: list[str]
) -> None:
    path = pytester.path / "wrong.chaos.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    code, said = pytest_says(pytester)
    assert code == pytest.ExitCode.INTERRUPTED
    about = [line for line in said.splitlines() if line.startswith(str(path))]
    assert len(about) == len(places)
    assert all(place in line for place, line in zip(places, about, strict=True))
    assert all(line.isprintable() for line in said.splitlines())
    assert runs == []


def test_what_chaos_run_refuses_before_the_start_is_refused_when_it_is_collected(
    pytester: pytest.Pytester, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.cli import answer  # noqa: PLC0415

    path = scenario(pytester, KILLS_THE_BROKER)
    answer(["run", str(path), "--broker", URL])
    sentence = capsys.readouterr().err.strip()
    assert "no way to kill" in sentence
    for arguments, variable in (["--chaos-broker", URL], ""), ([], URL):
        monkeypatch.setenv("CHAOS_BROKER", variable)
        code, said = pytest_says(pytester, *arguments)
        assert (code, sentence in said) == (pytest.ExitCode.INTERRUPTED, True)
    assert runs == []


@pytest.mark.parametrize(
    ("broker", "sentence"),
    [
        ("external", "an external broker needs its address: --chaos-broker amqp://user:password@host:5672/"),
        ("compose", "there is no compose file "),
    ],
)
def test_a_broker_that_a_scenario_cannot_mean_is_a_sentence(
    pytester: pytest.Pytester, runs: Runs, broker: str, sentence: str
) -> None:
    scenario(pytester, f"{RIGHT}broker: {{backend: {broker}}}\n")
    code, said = pytest_says(pytester)
    assert code == pytest.ExitCode.INTERRUPTED
    assert said.count(sentence) == 1
    assert runs == []


def test_the_environment_says_what_the_options_do_not(
    pytester: pytest.Pytester, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario(pytester)
    assert pytest_says(pytester)[0] == 0
    monkeypatch.setenv("CHAOS_BROKER", URL)
    monkeypatch.setenv("CHAOS_REPORTS", "elsewhere")
    assert pytest_says(pytester)[0] == 0
    assert pytest_says(pytester, "--chaos-broker", "native", "--chaos-reports", "here", "--chaos-seed", "7")[0] == 0
    assert [(run.option.backend, run.broker, str(run.reports), run.seed) for run in runs] == [
        (None, None, "reports", None),
        ("external", URL, "elsewhere", None),
        ("native", "native", "here", 7),
    ]
    assert runs[1].replay_options() == ["--broker", "amqp://ann:***@127.0.0.1:1/"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BrokerError("no broker; choose another with --reports\x1b[2J"), "no broker; choose another with --chaos-reports\\u001b"),
        (OSError(28, "No space left on device", "a/b"), "No space left on device (a/b)"),
        (BrokerError(f"{URL} refuses"), "amqp://ann:***@127.0.0.1:1/ refuses"),
    ],
    ids=["of the harness", "of the system", "with an address"],
)  # fmt: skip
@pytest.mark.parametrize("style", ["auto", "long", "short", "native", "line"])
def test_an_error_of_a_run_is_a_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str, style: str
) -> None:
    def fail(_settings: Settings) -> RunVerdict:
        raise error

    started(monkeypatch, fail)
    scenario(pytester)
    code, said = pytest_says(pytester, "--chaos-broker", URL, f"--tb={style}", "--showlocals")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert sentence in said


def test_an_error_that_nobody_foresaw_says_how_to_report_it_and_keeps_no_password(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = pytester.mkdir("kept")
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_options: str(kept))

    def fail(settings: Settings) -> RunVerdict:
        raise KeyError(settings.broker)

    started(monkeypatch, fail)
    scenario(pytester)
    code, said = pytest_says(pytester, "--chaos-broker", URL)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "KeyError: 'amqp://ann:***@127.0.0.1:1/': this is a fault of the harness, and no verdict" in said
    assert "please report it with that file" in said
    file = (kept / "harness-error.txt").read_text()
    assert "Traceback" in file
    assert SECRET not in file


def test_a_time_limit_of_pytest_is_its_sentence_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, lambda _settings: pytest.fail("Timeout (>1.0s) from pytest-timeout."))
    scenario(pytester)
    code, said = pytest_says(pytester, "--chaos-broker", URL)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "Timeout (>1.0s) from pytest-timeout." in said
    assert "fault of the harness" not in said


def test_a_name_with_characters_that_steer_a_terminal_is_shown_by_their_codes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "\\u202ebidi"
    scenario(pytester, RIGHT.replace("name: one", f'name: "{shown}"'))
    started(monkeypatch, lambda _settings: samples.infrastructure().run)
    for arguments in ["-v"], ["--collect-only", "-q"], ["--junitxml=junit.xml"]:
        _, said = pytest_says(pytester, *arguments)
        assert all(line.isprintable() for line in said.splitlines())
        assert shown in said
    assert "\u202e" not in (pytester.path / "junit.xml").read_text(encoding="utf-8")


def test_a_report_of_a_failed_run_holds_nothing_that_steers_a_terminal(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace  # noqa: PLC0415

    run: Any = samples.infrastructure().run
    started(monkeypatch, lambda _settings: replace(run, replay="chaos run \x1b[2J\u202e.yaml"))
    scenario(pytester)
    _, said = pytest_says(pytester)
    assert "replay: chaos run \\u001b[2J\\u202e.yaml" in said
    assert all(line.isprintable() for line in said.splitlines())
