"""The installer that `make` calls: it says how far it is, installs what the lock file says, and fails with pip's words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.install import packages, progress

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "tools" / "install.py"


def test_the_packages_of_a_lock_file_are_counted() -> None:
    lock = "# by hand\na-b==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    # via c==3\nc.d==2 ; python_version < '4' \\\n"
    assert packages(lock) == 2


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "0 of 3 packages fetched"),
        (["Collecting a==1\n", "  Downloading a-1.whl\n", "Collecting b==1\n"], "2 of 3 packages fetched"),
        (["Collecting a==1\n", "Installing collected packages: a\n"], "packages are in place"),
    ],
)
def test_it_says_how_far_it_is(said: list[str], told: str) -> None:
    assert progress(said, 3).endswith(told)


def test_what_cannot_be_installed_is_told_in_the_words_of_pip(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("chaos-harness-that-nobody-made @ file:///nowhere/x-1.whl --hash=sha256:00\n", encoding="utf-8")
    found = subprocess.run([sys.executable, INSTALL, lock], capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode != 0
    assert found.stdout.startswith("installing 0 packages of requirements.lock\n")
    assert "ERROR: " in found.stdout


def test_what_is_needed_to_run_is_a_part_of_what_is_needed_to_develop_with_the_same_versions() -> None:
    run, develop = (
        {
            line.split(" ")[0]
            for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
            if "==" in line and line[0].isalpha()
        }
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert run < develop
    assert not {"mypy", "playwright", "mkdocs", "distributed"} & {each.partition("==")[0] for each in run}
