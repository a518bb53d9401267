"""A process is told apart from every later one with its number."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from harness.process_mark import ProcessMark

SLEEP = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def mark() -> ProcessMark:
    return ProcessMark.of(os.getpid())


def test_a_mark_names_its_process(mark: ProcessMark) -> None:
    process = mark.process()
    assert process is not None
    assert process.pid == os.getpid()
    assert mark.may_live()


def test_a_mark_survives_being_written_down(mark: ProcessMark) -> None:
    assert ProcessMark.parse(str(mark)) == mark


def test_another_start_is_another_process(mark: ProcessMark) -> None:
    earlier = replace(mark, started=f"{mark.started}1")
    assert earlier.process() is None
    assert not earlier.may_live()


def test_another_boot_is_another_process(mark: ProcessMark) -> None:
    before = replace(mark, place=f"00000000.{mark.place.partition('.')[2]}")
    assert before.process() is None
    assert not before.may_live()


def test_a_process_of_another_pid_namespace_is_neither_touched_nor_called_dead(mark: ProcessMark) -> None:
    elsewhere = replace(mark, place=f"{mark.place.partition('.')[0]}.1")
    assert elsewhere.process() is None
    assert elsewhere.may_live()


def test_a_mark_of_another_version_is_neither_touched_nor_called_dead() -> None:
    other = ProcessMark.parse(f"{os.getpid()}:1764000000.12")
    assert other.process() is None
    assert other.may_live()


def test_a_process_that_was_waited_for_is_dead() -> None:
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as child:
        mark = ProcessMark.of(child.pid)
        assert mark.process() is not None
        child.kill()
    assert mark.process() is None
    assert not mark.may_live()
    assert not ProcessMark.parse(f"{child.pid}:1764000000.12").may_live()


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as child:
        mark = ProcessMark.of(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert mark.process() is None
        assert not mark.may_live()


def test_a_process_that_was_gone_when_it_was_marked_matches_nothing() -> None:
    with subprocess.Popen(SLEEP, stdin=subprocess.PIPE) as child:
        child.kill()
    mark = ProcessMark.of(child.pid)
    assert mark.process() is None
    assert not mark.may_live()


@pytest.mark.parametrize("text", ["", "x", ":", "x:1@y", "0:1@y", "-1:1@y", "4194305:1@y", " 7:1@y"])
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the number of a process"):
        ProcessMark.parse(text)
