"""What the pages say to run is run: the first run from top to bottom, and every whole scenario that a page shows."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.backends import require
from tests.unit.doc_blocks import OUTPUT, PAGES, PART, ROOT, Block, blocks, commands
from tests.unit.test_docs_recipes import EXTENDING, install_fault

pytestmark = pytest.mark.native

VIOLATED = frozenset({"warned.yaml"})
"""Shown for what it was before a key changed its meaning: now a violation."""
ENDLESS = frozenset({"broker", "work", "publish"})
"""The tutorial by hand: these wait for a person."""
CHANGED = frozenset({"out_of_order.yaml"})
"""Needs a change of the harness, which tests/unit/test_docs_recipes.py makes."""


def chaos(arguments: list[str], folder: Path, library: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(library)} if library else {})
    if arguments[0] == "run":
        environment |= {"CHAOS_BROKER": "native"}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment, check=False
    )


def test_the_first_run_goes_as_its_page_says(tmp_path: Path) -> None:
    require("native")
    done: list[str] = []
    for block in blocks((ROOT / "docs/first-run.md").read_text(encoding="utf-8")):
        if block.language == "yaml":
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        for command in commands(block) if block.language == "console" else ():
            program, *arguments = shlex.split(command.text.partition(" > ")[0])
            if program != "chaos" or arguments[0] in ENDLESS:
                continue
            # The page names a run of its own.
            arguments = ["latest" if re.match(r"\d{8}-\d{6}-", word) else word for word in arguments]
            result = chaos(arguments, tmp_path)
            assert result.returncode == (2 if "wrong.yaml" in arguments else 0), result.stdout
            if command.output:
                right = doctest.OutputChecker().check_output(command.output, result.stdout, OUTPUT)
                assert right, f"{command.text} says\n{result.stdout}and not\n{command.output}"
            done.append(arguments[0])
    assert {"init", "validate", "plan", "schema", "run", "trace", "history", "report", "compare", "selftest"} == set(
        done
    )


WHOLE = [
    pytest.param(page, block, id=f"{page.stem}-{block.title or block.line}")
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.language == "yaml"
    and block.text.startswith("name:")
    and not block.text.startswith(PART)
    and "jobs:" not in block.text
    and block.title not in CHANGED
    and not block.title.startswith("wrong")
]


@pytest.mark.parametrize(("page", "block"), WHOLE)
def test_a_scenario_that_a_page_shows_comes_out_as_expected(page: Path, block: Block, tmp_path: Path) -> None:
    require("native")
    library = install_fault(tmp_path) if page == EXTENDING else None
    path = tmp_path / "scenario.yaml"
    path.write_text(block.text, encoding="utf-8")
    result = chaos(["run", path.name, "--quiet"], tmp_path, library)
    assert result.returncode == (1 if block.title in VIOLATED else 0), result.stdout
