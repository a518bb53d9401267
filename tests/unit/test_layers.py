"""Imports point one way, and what must be pure or light is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "harness"
SCENARIO = {"plain", "masking", "errors", "effects", "scenario"}
CHECKS = {"plain", "files", "errors", "effects", "events", "scenario", "history", "verdict", "checks"}
BELOW_ENGINE = {
    "plain",
    "files",
    "masking",
    "unforeseen",
    "errors",
    "effects",
    "events",
    "interrupts",
    "process_mark",
    "ledger",
    "scenario",
    "history",
    "traffic",
    "broker",
    "faults",
}
ALLOWED: dict[str, set[str]] = {
    "plain": set(),
    "masking": set(),
    "errors": {"plain"},
    "unforeseen": {"plain", "masking", "errors"},
    "effects": set(),
    "events": {"effects"},
    "interrupts": set(),
    "process_mark": set(),
    "files": set(),
    "ledger": {"plain", "errors", "process_mark"},
    "ledger_book": {"files", "ledger", "process_mark"},
    "leftovers": {"plain", "errors", "ledger", "ledger_book"},
    "scenario": SCENARIO,
    "history": {"plain", "files", "errors", "effects", "events", "history"},
    "frames": {"frames"},
    "proxy": {"plain", "errors", "interrupts", "broker", "frames", "proxy"},
    "traffic": {"plain", "errors", "frames", "traffic", "history"},
    "broker": {
        "plain",
        "files",
        "masking",
        "errors",
        "interrupts",
        "process_mark",
        "ledger",
        "leftovers",
        "traffic",
        "broker",
        "scenario",
    },
    "faults": {"plain", "errors", "effects", "events", "scenario", "traffic", "broker", "faults"},
    "verdict": {"plain", "files", "errors", "verdict"},
    "checks": CHECKS,
    "engine": BELOW_ENGINE | {"verdict", "checks", "engine", "version"},
    "lies": BELOW_ENGINE | {"frames", "proxy", "verdict", "checks", "engine", "lies"},
    "scale": BELOW_ENGINE | {"verdict", "checks", "engine", "scale", "version"},
    "trend": {"plain", "files", "errors", "scenario", "history", "verdict", "checks", "trend"},
    "search": {"plain", "errors", "scenario", "faults", "verdict", "search"},
    "report": CHECKS | {"trend", "search", "report", "version"},
}
IMPURE = {"time", "random", "os", "subprocess", "socket", "threading", "datetime", "secrets", "tempfile", "shutil"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if layer in ALLOWED:
            yield layer, path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "harness":
        return None
    return "version" if parts[1:2] == ["__version__"] else (parts[1] if len(parts) > 1 else None)


@pytest.mark.parametrize(
    ("layer", "path"), list(modules()), ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_imports_point_one_way(layer: str, path: Path) -> None:
    wrong = {name for name in imports(path) if (found := layer_of(name)) is not None and found not in ALLOWED[layer]}
    assert wrong == set()


def test_the_checks_know_no_clock_no_files_and_no_chance() -> None:
    found = {
        f"{path.stem}: {name}"
        for layer, path in modules()
        if layer == "checks"
        for name in imports(path)
        if name.split(".")[0] in IMPURE
    }
    # What is planted is chosen by a Random that the caller seeds.
    assert found == {"planted: random", "planted: random.Random", "selftest: random", "selftest: random.Random"} & found
    assert not {name for name in found if not name.startswith(("planted", "selftest"))}


@pytest.mark.parametrize("program", ["traffic.publisher", "traffic.worker", "lies.liar"])
def test_the_programs_beside_the_broker_stay_light(program: str) -> None:
    code = f"import harness.{program}, sys; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "pandas", "pydantic", "docker", "bokeh", "rich"} & set(loaded) == set()


HEAVY = {
    "asyncio",
    "bokeh",
    "dask",
    "distributed",
    "docker",
    "jinja2",
    "junitparser",
    "numpy",
    "pandas",
    "pika",
    "pyarrow",
    "rich",
    "tenacity",
}

DATACLASSES_OF_RUNS = {"harness.verdict.data", "harness.events", "harness.traffic.spec"}
"""Each holds a dozen dataclasses or more, which Python writes and compiles at import; nothing that only reads needs one."""


@pytest.mark.parametrize(
    "command",
    [["--help"], ["--version"], ["validate", "scenarios/worker_kill.yaml"], ["validate", "scenarios"]],
    ids=" ".join,
)
def test_what_only_reads_is_quick_to_start(command: list[str]) -> None:
    """What a command imports decides how long it takes, whatever else the machine does."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "harness", *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    lines = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    modules = set(lines)
    imported = {name.split(".")[0] for name in modules}
    assert "typer" in imported, "the interpreter tells what it imports"
    reads_scenarios = command[0] == "validate"
    assert imported & (HEAVY if reads_scenarios else HEAVY | {"pydantic", "ruamel"}) == set()
    assert modules & DATACLASSES_OF_RUNS == set()


def test_reading_scenarios_parses_no_sources() -> None:
    """Pydantic would read the source of each model for the docstrings of its fields, which only a schema needs."""
    code = (
        "import ast, sys; from pathlib import Path; from harness.scenario.load import load;"
        "from harness.faults.registry import actions; ast.parse = None;"
        "load(Path('scenarios/worker_kill.yaml'), actions()); print('harness.scenario.docstrings' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.split() == ["False"]


def test_only_the_whole_scenario_is_built_when_one_is_read() -> None:
    """Pydantic would build a model's validator when the module of another one calls it for a default."""
    code = (
        "from pathlib import Path; from harness.scenario.load import load; from harness.faults.registry import actions;"
        "from harness.scenario.base import Model; load(Path('scenarios/worker_kill.yaml'), actions());"
        "print(sorted({each.__name__ for each in Model.__subclasses__() if each.__pydantic_complete__}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout == "[]\n"
