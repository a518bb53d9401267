"""A password is in no argument of a process, no output and no file."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.broker.docker_engine import without_engine_password
from harness.cli import processes
from harness.cli.options import BrokerOption
from harness.cli.processes import Job, LocalProcesses
from harness.cli.settings import Settings
from harness.faults.registry import actions
from harness.masking import masked_address, without_passwords
from harness.scale.remote_run import Order
from harness.scenario.load import load

SECRET = "hunter2"  # noqa: S105 - looked for below
URL = f"amqp://ann:{SECRET}@127.0.0.1:1/"
KILL = load(Path("scenarios/worker_kill.yaml"), actions())


@pytest.mark.parametrize(
    "text",
    [
        URL,
        f"amqps://ann:{SECRET}@host",
        f"amqp://:{SECRET}@host/v",
        f"amqp://ann:p@{SECRET}@host/",
        f"amqp://ann:{SECRET}/x@host/",
        f"amqp://ann:x:{SECRET}#@host/",
        f"connect to amqp://ann:{SECRET}@a, amqp://bob:{SECRET}@b failed",
        f"'amqp://ann:{SECRET}@a'",
    ],
)
def test_the_password_of_a_url_is_masked_wherever_it_stands(text: str) -> None:
    assert SECRET not in without_passwords(text)
    assert ":***@" in without_passwords(text)


@pytest.mark.parametrize(
    "text", ["", "amqp://127.0.0.1:5672/", "amqp://ann@host/", "ann@host: 12:30", "http://a:80/ b@c"]
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert without_passwords(text) == text


@pytest.mark.parametrize(
    "address",
    [
        f"tcp://ann:{SECRET}@127.0.0.1:1",
        f"ssh://ann:{SECRET}@127.0.0.1",
        f"ann:{SECRET}@127.0.0.1:1",
        f"tcp://:{SECRET}@h:1",
        f"tcp://ann:x {SECRET}@h:1",
        f"tcp://ann:x/{SECRET}\n@h@h:1",
    ],
)
def test_the_password_of_an_engine_is_masked_whatever_it_holds(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECRET not in masked_address(address)
    assert ":***@" in masked_address(address)
    monkeypatch.setenv("DOCKER_HOST", address)
    assert SECRET not in without_engine_password(f"error during connect: Get {address}/v1/info: refused")


@pytest.mark.parametrize("address", ["", "tcp://127.0.0.1:2375", "unix:///run/a@b.sock", "unix:///a:b@c", "ssh://u@h"])
def test_an_engine_without_a_password_is_named_as_it_is(address: str) -> None:
    assert masked_address(address) == address


def settings(reports: Path) -> Settings:
    return Settings(
        option=BrokerOption.parse(URL),
        broker=URL,
        image=None,
        reports=reports,
        seed=1,
        controls=True,
        quiet=True,
        json_output=True,
    )


def test_a_child_process_gets_the_address_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen.json"
    program = tmp_path / "program.py"
    program.write_text(
        f"import json, os, sys\njson.dump([sys.argv, os.environ['CHAOS_BROKER']], open({str(seen)!r}, 'w'))\n"
    )
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, str(program)))
    with closing(LocalProcesses(settings(tmp_path))) as executor:
        ended = executor.run(Job(KILL, 1))
    arguments, address = json.loads(seen.read_text())
    assert address == URL
    assert SECRET not in " ".join(arguments)
    assert ended is not None
    assert SECRET not in ended.verdict.replay


def test_an_order_to_another_machine_shows_no_password(tmp_path: Path) -> None:
    order = Order("", tuple(settings(tmp_path).run_arguments(1)), settings(tmp_path).environment())
    assert order.environment == {"CHAOS_BROKER": URL}
    assert SECRET not in repr(order)
    assert SECRET not in " ".join(order.arguments)
