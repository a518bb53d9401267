"""Several runs at once each have a broker of their own, or are refused before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.options import BrokerOption
from harness.cli.running import load
from harness.cli.several import jobs_on_broker
from harness.errors import UsageError

pytestmark = pytest.mark.seconds

SCENARIO = "name: {name}\npublishers: {{messages: 1}}\nworkers: {{}}\n"
EXTERNAL = "amqp://guest:guest@127.0.0.1:1/"


def written(folder: Path, *more: str) -> list[Path]:
    paths = [folder / "one.yaml", folder / "two.yaml"]
    for path in paths:
        path.write_text(SCENARIO.format(name=path.stem) + "".join(more))
    return paths


@pytest.mark.parametrize("broker", [EXTERNAL, "compose", "compose:here.yaml:rabbit"])
def test_runs_at_once_on_one_broker_are_refused(tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, service in (("compose.yaml", "rabbitmq"), ("here.yaml", "rabbit")):
        Path(file).write_text(f"services: {{{service}: {{image: rabbitmq}}}}")
    option = BrokerOption.parse(broker)
    loaded = load(written(tmp_path), option)
    with pytest.raises(UsageError, match=r"^-j 2: runs at once would share one (external|compose) broker"):
        jobs_on_broker(loaded, option, 2)
    assert jobs_on_broker(loaded, option, 1) == jobs_on_broker(loaded, option, None) == 1


def test_a_scenario_that_asks_for_a_shared_broker_counts_as_well(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, "broker: {backend: compose}\n"), BrokerOption())
    with pytest.raises(UsageError, match="one compose broker"):
        jobs_on_broker(loaded, BrokerOption(), 2)
    assert jobs_on_broker(loaded, BrokerOption.parse("native"), 2) == 2


@pytest.mark.parametrize("broker", [None, "auto", "native", "container"])
def test_runs_with_brokers_of_their_own_go_on_at_once(tmp_path: Path, broker: str | None) -> None:
    option = BrokerOption.parse(broker)
    assert jobs_on_broker(load(written(tmp_path), option), option, 3) == 3
    assert jobs_on_broker(load(written(tmp_path), option), option, None) is None


@pytest.mark.parametrize(
    "command",
    [["run"], ["nightly", "--budget", "1m"], ["matrix", "--over", "workers.prefetch=1,2"]],
    ids=lambda c: c[0],
)
def test_a_command_that_would_share_a_broker_ends_with_2(tmp_path: Path, command: list[str]) -> None:
    options = ["-j", "2", "--broker", EXTERNAL, "--reports", str(tmp_path / "reports")]
    done = subprocess.run(
        [sys.executable, "-m", "harness", command[0], *map(str, written(tmp_path)), *command[1:], *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert "-j 2: runs at once would share one external broker" in done.stderr
    assert done.stdout == ""
