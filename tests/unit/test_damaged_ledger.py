"""A damaged ledger blocks nothing, removes nothing that is not its run's, and is set aside with one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import ledger
from harness.ledger import MARK_FILE, Ledger
from harness.ledger_book import Book, ledgers, read
from harness.leftovers import LOCK_FILE, stale, sweep
from harness.process_mark import ProcessMark

TOKEN = "0123456789abcdef"  # noqa: S105 - of a test
OWN = "chaos-broker-0123456789ab"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    return ledger.state_directory()


@pytest.fixture
def dead() -> str:
    """The mark of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        return str(ProcessMark.of(child.pid))


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    """A process of this user that no run started."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        yield psutil.Process(child.pid)
        child.kill()


def book(owner: str, **changes: Any) -> str:
    return json.dumps({"owner": owner, "token": TOKEN, "processes": [], "directories": [], "address": ""} | changes)


DAMAGED = {
    "empty": "",
    "not JSON": "{",
    "a list": "[]",
    "null": "null",
    "no owner": "{}",
    "an owner of another type": '{"owner": 3}',
    "an owner that is no mark": '{"owner": "no mark"}',
    "an owner that is a group of processes": '{"owner": "-1:1@x"}',
    "nested deeply": "[" * 100_000,
    "a huge number": '{"owner": ' + "9" * 5000 + "}",
    "not a number": '{"owner": NaN}',
}


def assert_set_aside(path: Path, why: str) -> None:
    removed, (remark,) = sweep()
    assert removed == ()
    assert remark.startswith(f"{path} is no ledger that can be gone by: {why}")
    assert f"it was set aside as {path.name}.damaged" in remark
    assert "\n" not in remark
    assert len(remark) < 700
    assert not os.path.lexists(path)
    assert os.path.lexists(path.with_name(f"{path.name}.damaged"))
    assert sweep() == ((), ())


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_ledger_is_set_aside(text: str, state: Path) -> None:
    (state / "run.json").write_text(text)
    assert stale() == ()
    assert_set_aside(state / "run.json", "")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"token": ""}, "its token is none"),
        ({"token": "*" * 16}, "its token is none"),
        ({"token": None}, "its token is not a text"),
        ({"address": 5}, "its address is not a text"),
        ({"processes": "1:1@x"}, "its processes are not a list of texts"),
        ({"processes": [7]}, "its processes are not a list of texts"),
        ({"processes": {"1": "2"}}, "its processes are not a list of texts"),
        ({"processes": ["0:1@x"]}, "'0' is not the number of a process"),
        ({"processes": ["-1:1@x"]}, "'-1' is not the number of a process"),
        ({"processes": ["4194305:1@x"]}, "'4194305' is not the number of a process"),
        ({"processes": ["9" * 5000 + ":1@x"]}, "'999999999999999999999999' is not the number"),
        ({"processes": ["\u0663:1@x"]}, "'\u0663' is not the number of a process"),
        ({"directories": [3]}, "its directories are not a list of texts"),
        ({"directories": [f"tmp/{OWN}"]}, f"it names 'tmp/{OWN}', which no run makes"),
        ({"directories": ["/"]}, "it names '/', which no run makes"),
        ({"directories": ["/home"]}, "it names '/home', which no run makes"),
        ({"directories": [f"/tmp/../home/{OWN}"]}, f"it names '/tmp/../home/{OWN}', which no run makes"),  # noqa: S108
        ({"directories": [f"/tmp/{OWN}/../precious"]}, "it names "),  # noqa: S108
        ({"directories": [f"/tmp/\0/{OWN}"]}, "it names "),  # noqa: S108
        ({"directories": ["/tmp/chaos-broker-"]}, "it names "),  # noqa: S108
    ],
    ids=str,
)
def test_one_wrong_entry_makes_a_ledger_doubtful(
    changes: dict[str, Any], why: str, state: Path, dead: str, bystander: psutil.Process, tmp_path: Path
) -> None:
    mine = tmp_path / OWN
    mine.mkdir()
    (mine / MARK_FILE).write_text(TOKEN)
    right = {"processes": [str(ProcessMark.of(bystander.pid))], "directories": [str(mine)]}
    (state / "run.json").write_text(book(dead, **(right | changes)))
    assert_set_aside(state / "run.json", why)
    assert bystander.is_running()
    assert mine.exists()


def test_bytes_that_are_no_text_are_set_aside(state: Path) -> None:
    (state / "run.json").write_bytes(b'{"owner": "\xff"}')
    assert_set_aside(state / "run.json", "it is not UTF-8")


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "dangling link", "loop"])
def test_what_is_not_even_a_file_is_set_aside(kind: str, state: Path, dead: str) -> None:
    path = state / "run.json"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            (state / "other").write_text(book(dead))
            path.symlink_to(state / "other")
        case "dangling link":
            path.symlink_to(state / "nowhere")
        case "loop":
            path.symlink_to(path)
    assert_set_aside(path, "it is a")


def test_a_huge_file_is_not_read_into_memory(state: Path) -> None:
    with (state / "run.json").open("wb") as file:
        file.truncate(1 << 40)
    assert_set_aside(state / "run.json", "it has more than 16777216 bytes")


def test_a_long_name_is_set_aside_as_well(state: Path) -> None:
    path = state / f"{'x' * 245}.json"
    path.write_text("{")
    assert "it was set aside as " in sweep().remarks[0]
    assert ledgers() == ()


def test_two_of_one_name_are_set_aside_beside_each_other(state: Path) -> None:
    for _ in range(2):
        (state / "run.json").write_text("{")
        sweep()
    assert sum(path.name.endswith(".damaged") for path in state.iterdir()) == 2


def test_a_ledger_whose_owner_lives_is_left_alone_also_among_damaged_ones(state: Path, tmp_path: Path) -> None:
    living = Ledger("living")
    folder = living.make_directory(tmp_path, "data")
    (state / "a.json").write_text("{")
    assert sweep().removed == ()
    assert folder.exists()
    assert (state / "living.json").exists()


def test_a_damaged_ledger_does_not_keep_the_others_from_being_swept(state: Path, dead: str, tmp_path: Path) -> None:
    folder = tmp_path / OWN
    folder.mkdir()
    (folder / MARK_FILE).write_text(TOKEN)
    (state / "a.json").write_text("[")
    (state / "b.json").write_text(book(dead, directories=[str(folder)]))
    assert sweep().removed == (f"directory {folder}",)
    assert not folder.exists()


def strange(folder: Path, why: str) -> Path:
    """A directory that has the name of a run's, and is none."""
    path = folder / OWN
    match why:
        case "without a token":
            path.mkdir()
        case "with the token of another run":
            path.mkdir()
            (path / MARK_FILE).write_text(TOKEN[::-1])
        case "with more than a token":
            path.mkdir()
            (path / MARK_FILE).write_text(f"{TOKEN}0")
        case "with a link for a token":
            path.mkdir()
            (folder / "token").write_text(TOKEN)
            (path / MARK_FILE).symlink_to(folder / "token")
        case "with a pipe for a token":
            path.mkdir()
            os.mkfifo(path / MARK_FILE)
        case "below a link":
            real = folder / "real" / OWN
            real.mkdir(parents=True)
            (real / MARK_FILE).write_text(TOKEN)
            (folder / "link").symlink_to(folder / "real")
            path = folder / "link" / OWN
        case "a file":
            path.write_text("precious")
            return path
        case "of another user":
            path.mkdir()
            (path / MARK_FILE).write_text(TOKEN)
            os.chown(path, 12345, 12345)
    (path / "precious").write_text("precious")
    return path


@pytest.mark.parametrize(
    "why",
    [
        "without a token",
        "with the token of another run",
        "with more than a token",
        "with a link for a token",
        "with a pipe for a token",
        "below a link",
        "a file",
        pytest.param(
            "of another user", marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
        ),
    ],
)
def test_a_directory_that_is_not_the_runs_own_is_left_alone(why: str, state: Path, dead: str, tmp_path: Path) -> None:
    path = strange(tmp_path, why)
    (state / "run.json").write_text(book(dead, directories=[str(path)]))
    assert_set_aside(state / "run.json", f"it names {path}, which is not its run's and is left alone")
    assert (path if path.is_file() else path / "precious").read_text() == "precious"


def test_a_directory_that_was_killed_before_it_had_its_token_is_removed(state: Path, dead: str, tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir()
    (state / "run.json").write_text(book(dead, directories=[str(tmp_path / OWN)]))
    assert sweep() == ((f"directory {tmp_path / OWN}",), ())
    assert ledgers() == ()


def test_a_directory_whose_removal_was_cut_short_is_removed_by_the_next_sweep(
    state: Path, dead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / OWN
    (folder / "data").mkdir(parents=True)
    (folder / MARK_FILE).write_text(TOKEN)
    (state / "run.json").write_text(book(dead, directories=[str(folder)]))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_args, **_more: None)
        assert sweep() == ((), ())
    assert sweep().removed == (f"directory {folder}",)


def test_nobody_ends_itself_or_what_it_descends_from(state: Path, dead: str) -> None:
    marks = [str(ProcessMark.of(pid)) for pid in (os.getpid(), os.getppid())]
    (state / "run.json").write_text(book(dead, processes=marks))
    assert sweep() == ((), ())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_a_process_of_another_user_is_left_alone(state: Path, dead: str) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], user=12345) as child:
        (state / "run.json").write_text(book(dead, processes=[str(ProcessMark.of(child.pid))]))
        assert sweep().removed == ()
        assert child.poll() is None
        child.kill()


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
def test_what_is_in_the_place_of_the_lock_blocks_nothing(kind: str, state: Path, tmp_path: Path) -> None:
    lock = state / LOCK_FILE
    match kind:
        case "directory":
            lock.mkdir()
        case "pipe":
            os.mkfifo(lock)
        case "link":
            lock.symlink_to(tmp_path / "elsewhere")
    assert sweep() == ((), ())
    assert lock.is_file()
    assert not lock.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_ledger_writes_is_what_is_read(state: Path, tmp_path: Path) -> None:
    written = Ledger("run")
    folder = written.make_directory(tmp_path, "data")
    written.add_process(os.getpid())
    written.set_address("amqp://guest:hunter2@127.0.0.1:5/")
    path = state / "run.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(path) is None
    text = path.read_text()
    path.write_text(text.replace(json.loads(text)["owner"], "1:1@00000000.1", 1))
    found = read(path)
    assert isinstance(found, Book)
    assert found.directories == (folder,)
    assert found.owns(folder)
    assert found.processes == (ProcessMark.of(os.getpid()),)
    assert found.address == "amqp://guest:hunter2@127.0.0.1:5/"
