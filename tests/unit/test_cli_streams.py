"""Standard streams that are closed, or that nobody reads any more, change neither what a command does nor its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.seconds

SCENARIO = "name: quick\npublishers: {messages: 20}\nworkers: {count: 1}\n"
CHAOS = f"{sys.executable} -m harness"


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's lines; `chaos` in them is the command."""
    return subprocess.run(
        ["bash", "-c", f'chaos() {{ {CHAOS} "$@"; }}\n{script}'],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "right.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text("name: [", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "code"), [("plan right.yaml", 0), ("schema", 0), ("list right.yaml", 0), ("plan wrong.yaml", 2)]
)
def test_an_output_that_nobody_reads_is_no_error(command: str, code: int, folder: Path) -> None:
    found = shell(f"(chaos {command}; echo $? > code) | true", folder)
    assert (folder / "code").read_text(encoding="utf-8") == f"{code}\n"
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"), [("plan right.yaml", 0), ("validate wrong.yaml", 2), ("report nowhere", 2)]
)
def test_streams_that_are_closed_are_no_error(command: str, code: int, closed: str, folder: Path) -> None:
    found = shell(f"chaos {command} {closed}; echo $? > code", folder, TMPDIR=str(folder))
    assert (folder / "code").read_text(encoding="utf-8") == f"{code}\n"
    assert found.stdout + found.stderr == "" or closed in {">&-", "2>&-"}
    assert not list(folder.glob("chaos-error-*"))


def test_no_file_gets_the_number_of_a_stream_that_is_closed(folder: Path) -> None:
    program = (
        "from harness.cli.streams import prepare; import os; prepare(); print(os.open('/dev/null', os.O_RDONLY) > 2)"
    )
    found = shell(f'{sys.executable} -c "{program}" <&- 2>&-', folder)
    assert found.stdout == "True\n"


def test_a_disk_that_is_full_is_an_error(folder: Path) -> None:
    found = shell("chaos schema > /dev/full; echo $? > code", folder)
    assert (folder / "code").read_text(encoding="utf-8") == "3\n"
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("columns", ["0", "00", "9" * 30])
def test_a_terminal_of_no_width_is_written_to(columns: str, tmp_path: Path) -> None:
    data = Path(__file__).parents[1] / "data/version-2"
    found = shell(f"chaos compare run run --reports {data}", tmp_path, COLUMNS=columns)
    assert found.returncode == 0
    assert "verdict" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
