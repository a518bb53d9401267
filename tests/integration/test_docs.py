"""What the pages say to run is run: the first run from top to bottom, and every whole scenario that a page shows."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.backends import require
from tests.unit.doc_blocks import OUTPUT, PAGES, PART, ROOT, blocks, commands
from tests.unit.test_docs_recipes import install_fault

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


WHOLE = {
    f"{page.stem}-{block.title or block.line}".removesuffix(".yaml"): block
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.language == "yaml"
    and block.text.startswith("name:")
    and not block.text.startswith(PART)
    and "jobs:" not in block.text
    and block.title not in CHANGED
    and not block.title.startswith("wrong")
}
"""Every whole scenario, by its page and its title or line."""


RESTARTS = {name for name, block in WHOLE.items() if "restart: broker" in block.text}
"""Each takes as long as all others together."""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(sorted(WHOLE.keys() - RESTARTS), id="without a restart"),
        pytest.param(sorted(RESTARTS), id="with a restart", marks=pytest.mark.slow),
    ],
)
def test_the_scenarios_that_pages_show_come_out_as_expected(names: list[str], tmp_path: Path) -> None:
    """All in one command, so that they share its brokers."""
    require("native")
    library = install_fault(tmp_path)
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(WHOLE[name].text, encoding="utf-8")
    result = chaos(["run", *(f"{name}.yaml" for name in names), "--quiet"], tmp_path, library)
    verdicts = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("reports/2*/verdict.json")]
    outcomes = {Path(verdict["file"]).stem: verdict["outcome"] for verdict in verdicts}
    expected = {name: "violated" if WHOLE[name].title in VIOLATED else "as expected" for name in names}
    assert outcomes == expected, result.stdout
    assert result.returncode == ("violated" in expected.values()), result.stdout
