from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from harness.cli.app import app
from harness.cli.options import REPORTS, TREND_FOLDER

pytestmark = pytest.mark.seconds

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = YAML(typ="safe").load(NIGHTLY)["jobs"]["reliability"]["steps"]
    return found


def script(name: str) -> str:
    (found,) = [str(step["run"]) for step in steps() if step.get("name") == name]
    return found


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_workflows_are_valid_by_the_published_schema(path: Path) -> None:
    done = checked(path)
    assert done.returncode == 0, done.stdout


def test_a_workflow_with_a_mistake_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(NIGHTLY.read_text().replace("runs-on:", "run-on:"))
    assert checked(wrong).returncode == 1


def in_the_job(tmp_path: Path, name: str, *, code: int) -> subprocess.CompletedProcess[str]:
    """Run a step's script as the runner does, with a `chaos` that prints its arguments and ends with `code`."""
    stub = tmp_path / ".venv" / "bin" / "chaos"
    stub.parent.mkdir(parents=True)
    stub.write_text(f'#!/bin/sh\necho "chaos $*"\nexit {code}\n')
    stub.chmod(0o755)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(tmp_path / "page.md")}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script(name)]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "ends_with", "said"),
    [
        (0, 0, ""),
        (1, 1, "::error::"),
        (2, 2, "::error::"),
        (3, 3, "::error::"),
        (4, 0, "::warning::"),
        (130, 130, "::error::"),
    ],
)
@pytest.mark.parametrize(
    "name", ["Run all scenarios for an hour", "Search for schedules of faults that break a guarantee"]
)
def test_the_night_fails_on_violations_and_infrastructure_and_warns_of_what_proved_nothing(
    tmp_path: Path, name: str, code: int, ends_with: int, said: str
) -> None:
    done = in_the_job(tmp_path, name, code=code)
    assert done.returncode == ends_with
    assert set(re.findall(r"^::\w+::", done.stdout, re.MULTILINE)) == ({said} if said else set())


def test_the_trend_is_added_to_the_page(tmp_path: Path) -> None:
    done = in_the_job(tmp_path, "Show the trend", code=0)
    assert done.returncode == 0
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("<details>")
    assert "```\nchaos trend --no-color\n```" in page
    assert page.endswith("</details>\n")


def test_every_chaos_command_of_the_workflows_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = "".join(path.read_text() for path in WORKFLOWS)
    commands = [shlex.split(found) for found in re.findall(r"\.venv/bin/chaos (.*)", text)]
    assert [command[0] for command in commands] == ["nightly", "explore", "explore", "trend"]
    group: Any = typer.main.get_command(app)
    for name, *arguments in commands:
        # Parsing alone: nothing is run.
        group.commands[name].make_context(name, arguments)


def test_the_trend_is_kept_from_night_to_night() -> None:
    caches = {step["uses"].split("@")[0]: step for step in steps() if "cache" in step.get("uses", "")}
    restore, save = caches["actions/cache/restore"], caches["actions/cache/save"]
    assert restore["with"]["path"] == save["with"]["path"] == str(REPORTS / TREND_FOLDER)
    assert save["with"]["key"] == restore["with"]["key"], "each night saves what it restored and added to"
    assert "github.run_id" in save["with"]["key"], "a cache is never written twice"
    assert save["with"]["key"].startswith(restore["with"]["restore-keys"])
    assert save["if"] == "always()"
    names = [step.get("name") for step in steps()]
    assert names.index(restore["name"]) < names.index("Run all scenarios for an hour") < names.index(save["name"])
