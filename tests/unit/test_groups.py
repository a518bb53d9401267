"""Tests that must not run beside each other do not: the runner that is installed keeps a group in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TEST = """
import os
import pathlib
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_it(number):
    pathlib.Path(f"{os.getpid()}.ran").touch()
"""


@pytest.mark.seconds
def test_tests_of_one_group_run_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadgroup"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert "8 passed" in done.stdout, done.stdout + done.stderr
    assert len(list(tmp_path.glob("*.ran"))) == 1
