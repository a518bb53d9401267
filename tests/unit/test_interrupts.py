"""Ctrl-C and its like: what they may cut short, and what not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from harness.cli.interruptible import interruptible
from harness.errors import ExitCode
from harness.interrupts import SIGNALS, shielded


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Every signal raises KeyboardInterrupt, as Ctrl-C does by itself."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_shielded_runs_to_its_end_and_the_interrupt_follows(number: signal.Signals) -> None:
    done = []

    @shielded()
    def work() -> None:
        signal.raise_signal(number)
        done.append("to the end")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["to the end"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_shield_without_an_interrupt_raises_nothing() -> None:
    with shielded():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_shields_within_shields_hold_until_the_outermost_ends() -> None:
    done = []

    @shielded()
    def inner() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("inner")

    @shielded()
    def outer() -> None:
        try:
            inner()
        finally:
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert done == ["inner", "outer"]


def test_a_handler_says_at_once_what_it_has_to_say() -> None:
    said = []
    signal.signal(signal.SIGTERM, lambda *_: said.append("terminated"))
    with shielded():
        signal.raise_signal(signal.SIGTERM)
        assert said == ["terminated"]


def test_another_thread_needs_no_shield() -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with shielded():
                pass
        except BaseException as error:  # whatever it is, the test must see it
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


def test_the_first_signal_ends_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible("ending in order"):
        signal.raise_signal(signal.SIGHUP)
    assert capsys.readouterr().err == "ending in order\n"
    assert signal.getsignal(signal.SIGHUP) is signal.default_int_handler


def test_the_second_signal_leaves_at_once_even_what_is_shielded() -> None:
    code = (
        "import signal\n"
        "from harness.cli.interruptible import interruptible\n"
        "from harness.interrupts import shielded\n"
        "with interruptible('first'), shielded():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.INTERRUPTED
    assert done.stdout == ""
    assert "chaos clean" in done.stderr


def test_an_import_is_not_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut_short.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nWHOLE = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    whole = []

    def import_and_wait() -> None:
        whole.append(import_module("cut_short").WHOLE)
        threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt), interruptible("ending in order"):
        import_and_wait()
    assert whole == [True]
    assert "cut_short" in sys.modules


def test_an_import_at_the_end_of_the_block_does_not_swallow_the_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cut_last.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("harness.cli.interruptible.IMPORT_POLL_S", 60.0)
    with pytest.raises(KeyboardInterrupt), interruptible("ending in order"):
        import_module("cut_last")


def test_what_runs_while_its_own_module_is_imported_can_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs_itself.py").write_text(
        "import signal\n"
        "from harness.cli.interruptible import interruptible\n"
        "with interruptible('ending in order'):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    raise AssertionError('went on')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import_module("runs_itself")


def test_a_hangup_that_is_ignored_from_the_start_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible("never said"):
        signal.raise_signal(signal.SIGHUP)


def test_a_run_goes_on_when_nobody_reads_what_it_says() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = (
        "from harness.cli.options import error_console, say\n"
        "say('to nobody')\n"
        "error_console().print('to nobody either')\n"
        "print('went on')\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer, text=True, check=False, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stdout) == (0, "went on\n")
