"""Somebody's broker: its address, what may be done to it, and the commands that do it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.broker.external import ExternalBroker
from harness.broker.ports import free_port
from harness.broker.protocol import Ability, BrokerSettings
from harness.errors import BrokerError

SECRET = "s3cr/t@x"  # noqa: S105 - made up
SECRET_QUOTED = "s3cr%2Ft%40x"  # noqa: S105 - made up


def external(tmp_path: Path, commands: dict[str, str], *, command_timeout_s: float = 30) -> ExternalBroker:
    """A broker at an address where nothing listens: what is tested is the commands."""
    return ExternalBroker(
        BrokerSettings("run", tmp_path, start_timeout_s=0.2),
        f"amqp://ann:{SECRET_QUOTED}@127.0.0.1:{free_port()}/orders",
        commands,
        command_timeout_s=command_timeout_s,
    )


def test_the_password_is_in_no_print_of_the_endpoint(tmp_path: Path) -> None:
    endpoint = external(tmp_path, {}).endpoint()
    for text in (str(endpoint), repr(endpoint)):
        assert SECRET not in text
        assert SECRET_QUOTED not in text


@pytest.mark.parametrize(
    ("commands", "able"),
    [
        (set(), set()),
        ({"restart"}, {Ability.RESTART}),
        ({"stop"}, set()),
        ({"start", "stop"}, {Ability.RESTART}),
        ({"kill"}, {Ability.KILL}),
        ({"pause"}, set()),
        ({"pause", "resume", "kill"}, {Ability.PAUSE, Ability.KILL}),
    ],
)
def test_only_what_has_a_command_can_be_done(tmp_path: Path, commands: set[str], able: set[Ability]) -> None:
    assert external(tmp_path, dict.fromkeys(commands, "true")).abilities == able


def test_stop_and_start_run_their_own_commands_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broker = external(tmp_path, {what: f"echo {what} >> {log}" for what in ("stop", "start", "restart", "kill")})
    assert broker.stop().clean
    with pytest.raises(BrokerError, match="was not ready"):
        broker.start_node()
    broker.kill()
    assert log.read_text().split() == ["stop", "start", "kill"]


def test_without_stop_and_start_a_restart_does_both(tmp_path: Path) -> None:
    log = tmp_path / "log"
    broker = external(tmp_path, {"restart": f"echo restart >> {log}"})
    assert broker.stop().clean
    with pytest.raises(BrokerError, match="was not ready"):
        broker.start_node()
    assert log.read_text().split() == ["restart"]


def test_a_missing_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker\.commands\.pause"):
        external(tmp_path, {}).pause()


def test_a_command_that_fails_is_told_by_its_last_line_without_the_password(tmp_path: Path) -> None:
    said = f"no route to amqp://ann:{SECRET_QUOTED}@h nor https://bob:hunter2@h with {SECRET}"
    broker = external(tmp_path, {"pause": f"echo first; echo '{said}' >&2; exit 7"})
    with pytest.raises(BrokerError) as caught:
        broker.pause()
    assert str(caught.value) == (
        "broker.commands.pause ended with exit code 7: no route to amqp://ann:***@h nor https://bob:***@h with ***"
    )


@retry(retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(10), wait=wait_fixed(0.02), reraise=True)
def wait_until_dead(numbers: list[int]) -> None:
    """A killed process takes a moment to die."""
    for number in numbers:
        assert not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_a_command_that_does_not_end_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    broker = external(
        tmp_path, {"pause": f"sleep 600 & echo $! > {numbers}; echo $$ >> {numbers}; wait"}, command_timeout_s=0.5
    )
    with pytest.raises(BrokerError, match=r"pause did not end within 0\.5 s"):
        broker.pause()
    wait_until_dead([int(number) for number in numbers.read_text().split()])


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    number = tmp_path / "number"
    external(tmp_path, {"pause": f"sleep 600 & echo $! > {number}"}).pause()
    left = psutil.Process(int(number.read_text()))
    assert left.is_running(), "the command had ended, and what it left must live on"
    left.kill()


def test_a_broker_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"amqp://ann:\*\*\*@127\.0\.0\.1") as caught:
        external(tmp_path, {}).start()
    assert SECRET not in str(caught.value)
