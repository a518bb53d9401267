"""No error of the harness itself looks like a verdict: exit code 3, one sentence, and the traceback in a file."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.cli import answer, running
from harness.errors import ExitCode, InfrastructureError, UsageError
from harness.unforeseen import TRACEBACK_FILE, described, where

FORESEEN: dict[BaseException, ExitCode] = {
    UsageError("no such thing"): ExitCode.USAGE,
    InfrastructureError("no such broker"): ExitCode.INFRASTRUCTURE,
    OSError(28, "No space left on device"): ExitCode.INFRASTRUCTURE,
    KeyboardInterrupt(): ExitCode.INTERRUPTED,
}


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def load(*_: object) -> None:
        raise error

    monkeypatch.setattr(running, "load", load)


@pytest.mark.parametrize("error", FORESEEN, ids=repr)
def test_an_error_that_was_foreseen_has_its_own_exit_code(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert answer(["validate", "x.yaml"]) == FORESEEN[error]
    assert "fault of the harness" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [KeyError("key"), RecursionError(), AssertionError("x\n::error::\x1b[2J"), OSError("x")]
)
def test_an_error_that_nobody_foresaw_is_exit_code_3_in_one_sentence_with_its_traceback_in_a_file(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert answer(["validate", "x.yaml"]) == ExitCode.INFRASTRUCTURE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.isascii()
    assert "\x1b" not in said.err
    file = re.search(r"the traceback is in (\S+); please report", said.err)
    assert file is not None
    assert "Traceback (most recent call last)" in Path(file[1]).read_text()
    Path(file[1]).unlink()
    Path(file[1]).parent.rmdir()


def test_a_second_error_of_a_run_is_added_to_the_first(tmp_path: Path) -> None:
    for error in (KeyError("first"), ValueError("second")):
        assert str(tmp_path / TRACEBACK_FILE) in described(error, tmp_path)
    kept = (tmp_path / TRACEBACK_FILE).read_text()
    assert kept.index("KeyError: 'first'") < kept.index("ValueError: second")


def test_where_nothing_can_be_written_the_sentence_comes_all_the_same(tmp_path: Path) -> None:
    assert described(KeyError("key"), tmp_path / "absent").startswith("KeyError: 'key': this is a fault of the harness")


def test_a_command_line_that_cannot_be_taken_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "--jobs", "none", "x.yaml"]) == ExitCode.USAGE
    assert answer(["--version"]) == ExitCode.AS_EXPECTED
    assert "Usage: chaos run" in capsys.readouterr().err


def test_an_error_says_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught, where("step 2 (kill)"):
        raise KeyError("key")
    assert described(caught.value, tmp_path).startswith(
        "step 2 (kill): KeyError: 'key': this is a fault of the harness"
    )


SCENARIO = "name: x\npublishers: {messages: 1}\n"


@pytest.mark.parametrize("seed", ["-1", str(2**63), "x"])
@pytest.mark.parametrize("command", ["run", "plan", "matrix", "explore"])
def test_a_seed_below_0_or_beyond_63_bits_is_refused_before_anything_starts(
    command: str, seed: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    reports = ["--reports", str(tmp_path / "reports")] if command != "plan" else []
    assert answer([command, str(file), "--seed", seed, *reports]) == ExitCode.USAGE
    assert "--seed" in capfd.readouterr().err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("command", ["run", "validate", "plan"])
def test_a_compose_file_that_is_missing_is_told_before_anything_starts(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"{SCENARIO}broker: {{backend: compose, compose_file: nowhere.yaml}}\nseed: -1\n", encoding="utf-8")
    assert answer([command, str(file)]) == ExitCode.USAGE
    said = capfd.readouterr().err.splitlines()
    assert said == [
        f"{file}:3:42: broker.compose_file: there is no compose file nowhere.yaml; name one that is there",
        f"{file}:4:7: seed: must be at least 0, not -1",
    ]


def test_a_compose_file_that_an_option_or_a_control_names_is_looked_for_as_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        f"{SCENARIO}controls: {{a: {{set: {{broker.backend: compose, broker.compose_file: nix}}, expect: {{lost: 0}}}}}}\n",
        encoding="utf-8",
    )
    assert answer(["validate", str(file)]) == ExitCode.USAGE
    assert "x.yaml:3:21: controls.a.set: there is no compose file nix" in capfd.readouterr().err
    assert answer(["validate", str(file), "--broker", f"compose:{tmp_path / 'none.yaml'}"]) == ExitCode.USAGE
    assert f"there is no compose file {tmp_path / 'none.yaml'}" in capfd.readouterr().err


@pytest.mark.seconds
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "module", ["harness.errors", "harness.cli.app", "harness.scenario.load", "pydantic", "of compiled text"]
)
def test_a_signal_during_an_import_is_quiet(number: signal.Signals, module: str, tmp_path: Path) -> None:
    """The import sends it to itself, once; run as a module, where Python has exit codes of its own for interrupts."""
    code = f"""
import builtins, os, sys
real = builtins.__import__
def imports(name, *rest, **more):
    if name == {module!r} or name == "pydantic" and {module!r} == "of compiled text":
        builtins.__import__ = real
        if {module!r} == "of compiled text":
            exec("import time; os.kill(os.getpid(), {int(number)}); time.sleep(1)")
        os.kill(os.getpid(), {int(number)})
    return real(name, *rest, **more)
from harness.cli import main
builtins.__import__ = imports
sys.argv = ["chaos", "validate", "worker_kill.yaml"]
main()
"""
    (tmp_path / "runs_it.py").write_text(code)
    command = [sys.executable, "-m", "runs_it"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "")


@pytest.mark.parametrize("command", ["nightly", "explore"])
@pytest.mark.parametrize("budget", ["0s", "-1s", "soon", "0", ""])
def test_a_budget_that_is_none_is_refused(command: str, budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer([command, "scenarios/worker_kill.yaml", f"--budget={budget}"]) == ExitCode.USAGE
    assert "--budget" in capsys.readouterr().err


def test_the_exit_code_of_an_interrupt_is_the_one_that_is_known_everywhere() -> None:
    assert cli.INTERRUPTED == ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is no memory left"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "there is no memory left"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "too many open files: a process may have "),
        (OSError(errno.ENFILE, "Too many open files in system"), "too many open files on this machine"),
        (RuntimeError("can't start new thread"), "no thread can be started"),
    ],
    ids=repr,
)
def test_a_limit_of_the_machine_is_told_as_one_and_is_no_fault_of_the_harness(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert answer(["validate", "x.yaml"]) == ExitCode.INFRASTRUCTURE
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == 1
    assert "fault of the harness" not in told
    assert "try again" in told


def test_the_password_of_an_address_is_neither_said_nor_kept_with_an_error_that_nobody_foresaw(tmp_path: Path) -> None:
    assert "hunter2" not in described(ValueError("tcp://u:hunter2@h:1 is odd"), tmp_path)
    assert "tcp://u:***@h:1 is odd" in (tmp_path / TRACEBACK_FILE).read_text()


def test_a_process_that_may_open_no_more_files_does_not_wait_for_the_broker() -> None:
    program = (
        "import resource, socket, time\n"
        "from harness.broker.protocol import Endpoint\n"
        "from harness.broker.ready import wait_until_ready\n"
        "from harness.errors import BrokerError\n"
        "import encodings.idna\n"
        "endpoint = Endpoint('127.0.0.1', 1)\n"
        "try: wait_until_ready(endpoint, 1)\n"
        "except BrokerError: pass\n"
        "held = [open('/dev/null')]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (held[0].fileno() + 1, held[0].fileno() + 1))\n"
        "began = time.monotonic()\n"
        "try: wait_until_ready(endpoint, 60)\n"
        "except OSError as error: print(error.errno, time.monotonic() - began < 30)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == (f"{errno.EMFILE} True\n", "")
