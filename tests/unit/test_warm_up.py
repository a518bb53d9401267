"""What the end of a run needs is prepared while its broker boots: not before, and not beside the traffic."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import harness.report.html as page
from harness.cli import suite
from harness.cli.options import BrokerOption
from harness.cli.settings import Settings
from harness.cli.warm_up import WarmUp
from harness.engine.judging import RunResult
from harness.errors import InfrastructureError
from harness.events import Listener, Phase, PhaseChanged
from harness.faults.registry import actions
from harness.report import scripts
from harness.report.templates import environment
from harness.scenario.load import load

LATE = (
    "bokeh",
    "jinja2",
    "numpy",
    "pyarrow",
    "harness.checks.judge",
    "harness.verdict.as_json",
    "harness.engine.live_log",
    "harness.report.junit",
    "harness.trend.store",
)


def entered(phase: Phase) -> PhaseChanged:
    return PhaseChanged(at_ns=0, variant="guarantee", phase=phase)


def test_a_run_starts_without_what_its_end_needs_and_has_it_when_traffic_begins() -> None:
    code = (
        "import sys, harness.cli.suite; from harness.cli.warm_up import WarmUp; from harness.events import *;"
        f"there = lambda: print(*(name for name in {LATE} if name in sys.modules)); ahead = WarmUp(); there();"
        "ahead(PhaseChanged(at_ns=0, variant='x', phase=Phase.PROVISION));"
        "ahead(PhaseChanged(at_ns=0, variant='x', phase=Phase.TRAFFIC)); there()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.split("\n") == ["", " ".join(LATE), ""]


def test_the_pages_templates_are_compiled_and_its_scripts_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts.chart_scripts.cache_clear()
    environment.cache_clear()
    page.prepare()
    assert scripts.chart_scripts.cache_info().currsize == 1
    monkeypatch.setattr(environment().loader, "load", lambda *_: pytest.fail("a template was loaded again"))
    assert environment().get_template("report.html") is environment().get_template("report.html")


def test_what_starts_the_broker_comes_first_unless_all_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("harness.cli.warm_up.LEAD_S", 3600.0)
    monkeypatch.setattr(page, "prepare", lambda: done.append("prepared"))
    ahead = WarmUp(lambda: done.append("swept"))
    ahead(entered(Phase.PROVISION))
    assert done == []
    ahead(entered(Phase.TRAFFIC))
    assert done == ["prepared", "swept"]


def test_containers_are_swept_beside_the_first_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object, listeners: Sequence[Listener], **__: object) -> RunResult:
        assert "container" not in capsys.readouterr().err
        for phase in (Phase.PROVISION, Phase.TRAFFIC):
            for listener in listeners:
                listener(entered(phase))
        raise InfrastructureError("enough")

    monkeypatch.setattr(suite, "run_one", run)
    monkeypatch.setattr("harness.broker.sweeping.sweep_containers", lambda: (("container old",), ""))
    loaded = load(Path("scenarios/worker_kill.yaml"), actions())
    settings = Settings(BrokerOption(), None, None, tmp_path, seed=1, controls=True, quiet=True, json_output=False)
    with pytest.raises(InfrastructureError, match="enough"):
        suite.run_all([loaded], settings, jobs=1, no_color=True)
    assert capsys.readouterr().err == "left over from a run that was killed, removed: container old\n"


def test_it_prepares_once_and_leaves_mistakes_to_whoever_meets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        raise OSError("no room")

    monkeypatch.setattr(page, "prepare", broken)
    ahead = WarmUp()
    ahead.close()
    for phase in (Phase.PROVISION, Phase.TRAFFIC, Phase.PROVISION, Phase.TRAFFIC):
        ahead(entered(phase))
    assert calls == [1]
