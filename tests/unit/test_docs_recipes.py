"""The examples of docs/recipes-extending.md are installed, applied and run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.broker.protocol import Broker, BrokerSettings, ControlResult
from harness.errors import BrokerError
from harness.faults.context import FaultContext
from harness.traffic.spec import Target
from tests.unit.doc_blocks import ROOT, Block, blocks

pytestmark = pytest.mark.seconds

EXTENDING = ROOT / "docs/recipes-extending.md"
FOREIGN = frozenset({"disk_alarm.yaml", "out_of_order.yaml"})
"""Scenarios that need what the recipes add."""


def shown(language: str, title: str = "") -> Block:
    (found,) = (
        block
        for block in blocks(EXTENDING.read_text(encoding="utf-8"))
        if block.language == language and block.title == title
    )
    return found


def write(folder: Path, language: str, title: str) -> Path:
    path = folder / title
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(shown(language, title).text, encoding="utf-8")
    return path


def imported(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def chaos(*arguments: str, path: Path | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def install_fault(folder: Path) -> Path:
    """Install the fault's package into a folder of its own; returns that folder."""
    package = folder / "package"
    write(package, "python", "chaos_disk/__init__.py")
    write(package, "toml", "pyproject.toml")
    library = folder / "library"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(library), str(package)], check=True, capture_output=True)
    return library


def test_the_fault_is_known_once_its_package_is_installed(tmp_path: Path) -> None:
    library = install_fault(tmp_path)
    write(tmp_path, "yaml", "disk_alarm.yaml")
    without = chaos("validate", "disk_alarm.yaml", path=None, cwd=tmp_path)
    assert without.returncode == 2
    assert "disk_alarm: unknown action" in without.stderr
    installed = chaos("validate", "disk_alarm.yaml", path=library, cwd=tmp_path)
    assert (installed.returncode, installed.stderr) == (0, "disk_alarm.yaml: disk alarm: valid, 1 control\n")
    assert '"disk_alarm"' in chaos("schema", path=library, cwd=tmp_path).stdout
    planned = chaos("plan", "disk_alarm.yaml", path=library, cwd=tmp_path).stdout
    assert "after 500 confirmed: disk alarm" in planned


def context(control: Any) -> FaultContext:
    broker: Any = SimpleNamespace(nodes=("n1", "n2"), control=control)
    actors: Any = None
    target = Target(addresses=(("127.0.0.1", 5672),), username="", password="", virtual_host="/", tls=False)

    def nothing(*_: Any) -> None:
        pass

    return FaultContext(0, broker, actors, target, {}, Random(1), nothing, nothing, nothing, lambda: False)


def test_the_fault_does_and_undoes_what_it_says_on_every_node(tmp_path: Path) -> None:
    fault = imported(write(tmp_path, "python", "chaos_disk/__init__.py"), "chaos_disk").DiskAlarm(**{"for": "3s"})
    asked: list[tuple[Any, ...]] = []

    def control(*arguments: str, node: int) -> ControlResult:
        asked.append((*arguments, node))
        return ControlResult(0, "", "")

    strike = fault.inject(context(control))
    assert (strike.targets, strike.healable, strike.heal_after_s) == (("n1", "n2"), True, 3.0)
    fault.heal(context(control), strike)
    command = "set_disk_free_limit"
    assert asked == [(command, limit, node) for limit in ("1000000GB", "50MB") for node in (0, 1)]
    with pytest.raises(BrokerError, match="no such node"):
        fault.inject(context(lambda *_, **__: ControlResult(69, "", "no such node")))


def test_the_expectation_is_applied_and_its_test_passes_and_sees_it_fail(tmp_path: Path) -> None:
    for folder in ("harness", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    change = tmp_path / "change.diff"
    change.write_text(shown("diff").text, encoding="utf-8")
    test = write(tmp_path, "python", "tests/unit/test_out_of_order.py")
    write(tmp_path, "yaml", "out_of_order.yaml")
    assert run_test(tmp_path, test) == 1
    assert chaos("validate", "out_of_order.yaml", path=tmp_path, cwd=tmp_path).returncode == 2
    subprocess.run(["git", "apply", str(change)], check=True, cwd=tmp_path)
    assert run_test(tmp_path, test) == 0
    assert chaos("validate", "out_of_order.yaml", path=tmp_path, cwd=tmp_path).returncode == 0


def run_test(folder: Path, test: Path) -> int:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(test)]
    return subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=False).returncode


def test_the_backend_fulfils_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported(write(tmp_path, "python", "harness/broker/systemd.py"), "systemd_backend")
    settings = BrokerSettings("a-run", tmp_path)
    broker = module.SystemdBroker(settings, "amqp://guest:guest@127.0.0.1:5672/")
    assert isinstance(broker, Broker)
    for name in ("rabbitmqctl", "journalctl"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "$0 $@"\n', encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert broker.control("status").stdout.endswith("/rabbitmqctl status\n")
    assert "--unit rabbitmq-server" in broker.logs()["127.0.0.1:5672"]


def test_the_backend_passes_the_strict_types(tmp_path: Path) -> None:
    backend = write(tmp_path, "python", "harness/broker/systemd.py")
    check = "\n\ndef as_broker(broker: SystemdBroker) -> Broker:\n    return broker\n"
    source = backend.read_text(encoding="utf-8").replace("import Ability,", "import Ability, Broker,") + check
    example = tmp_path / "systemd_backend.py"
    example.write_text(source, encoding="utf-8")
    assert types_of(example) == 0
    example.write_text(source.replace("def control(self, *arguments: str", "def control(self, *arguments: int"))
    assert types_of(example) == 1


def types_of(path: Path) -> int:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(path.parent / "cache"),
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(path),
    ]
    return subprocess.run(command, capture_output=True, cwd=ROOT, check=False).returncode
