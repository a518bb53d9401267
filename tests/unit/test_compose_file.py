"""What the text of a compose file tells, and commands of compose that are ended with all that they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.broker.compose_file import MOST_BYTES, check
from harness.broker.compose_project import run_bounded
from harness.cli import answer
from harness.errors import ExitCode, UsageError

HANG_S = 60.0
BOMB = (
    "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    + "services: {queue: {labels: *a11}}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "services: {queue: {image: x}}",
        "services: {queue: {image: x, ports: !override ['127.0.0.1:5672:5672']}}",
        "include: [other.yaml]",
        "include: [other.yaml]\nservices: {shop: {}}",
        "x-all: &all {queue: {}}\nservices: {<<: *all}",
        BOMB,
    ],
    ids=["plain", "tag of compose", "included", "included beside", "merged", "bomb of aliases"],
)
def test_a_service_that_is_there_or_may_be_is_let_through(tmp_path: Path, text: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    began = time.monotonic()
    check(tmp_path / "compose.yaml", "queue")
    assert time.monotonic() - began < HANG_S


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is no compose file"),
        (b"[1, 2]", "is no compose file"),
        (b"services: 3", "is no compose file"),
        (b"services: {}", "is no compose file"),
        (b"services: {shop: {}}", "has no service 'queue', but shop"),
        (b'services: {"a\\x1b[2J": {}}', r"has no service 'queue', but a\\u001b\[2J"),
        (b"services: {\n", r"compose\.yaml:2:1: the compose file cannot be read: "),
        (b"services: *a", r"compose\.yaml:1:11: the compose file cannot be read: "),
        (b"\xff\xfe\x00", "cannot be read: it is no UTF-8 text"),
        (b"\x07", "cannot be read: "),
        (b"[" * 20_000, "cannot be read: "),
        (b"a" * (MOST_BYTES + 1), "too long"),
    ],
)
def test_what_is_no_compose_file_or_has_no_such_service_is_told(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "compose.yaml").write_bytes(text)
    with pytest.raises(UsageError, match=said):
        check(tmp_path / "compose.yaml", "queue")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _path: None, "there is no compose file"),
        (Path.mkdir, "cannot be read: it is a directory, and should be a file"),
        (os.mkfifo, "cannot be read: it is a pipe, and should be a file"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
    ],
    ids=["nothing", "folder", "pipe", "loop"],
)
def test_what_stands_in_the_place_of_a_compose_file_is_told(
    tmp_path: Path, make: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.yaml"
    make(file)
    with pytest.raises(UsageError, match=said):
        check(file, "queue")
    scenario = tmp_path / "x.yaml"
    scenario.write_text("{name: x, publishers: {messages: 1}, broker: {backend: compose, compose_file: shop.yaml}}")
    assert answer(["validate", str(scenario)]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert ": broker.compose_file: " in told
    assert said in told


def ends(pid: int) -> bool:
    """Whether a process that is not this one's child is gone, or will be soon."""
    for _ in range(1000):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_a_command_that_does_not_end_is_ended_with_the_one_that_it_started(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    inner = f"import os, time; open({str(numbers)!r}, 'w').write(str(os.getpid())); time.sleep({10 * HANG_S})"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_bounded([sys.executable, "-c", outer], 3.0)
    assert time.monotonic() - began < HANG_S
    assert ends(int(numbers.read_text())), "a SIGKILL takes a moment to be there"


def test_a_command_that_ends_says_what_it_said() -> None:
    done = run_bounded(
        [sys.executable, "-c", "import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"], HANG_S
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "a\n", "b\n")
