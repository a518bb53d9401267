"""What can be seen to be wrong in an address or a compose file is exit code 2, before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cli import answer
from harness.errors import ExitCode

SCENARIO = "{name: x, publishers: {messages: 1}, workers: {}}"
WRONG = [
    "amqp://ann:hunter2@h:0/",
    "amqp://ann:hunter2@h:70000/",
    "amqp://ann:hunter2@/",
    "amqp://ann:hunter%2@h/",
    "amqp://ann:hunter2@h/?heartbeat=1",
    "amqp://ann:hunter2%07@h/",
    "amqp://ann:hunter2@[::1/",
    "amqp://ann:hunter2@my host/",
    " amqp://ann:hunter2@h/",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOS_STATE_DIR", str(tmp_path / "state"))
    Path("x.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize(
    "command",
    [
        ["run", "x.yaml"],
        ["validate", "x.yaml"],
        ["plan", "x.yaml"],
        ["nightly", "x.yaml"],
        ["explore", "x.yaml"],
        ["broker"],
    ],
    ids=lambda command: command[0],
)
def test_a_wrong_address_is_told_before_anything_is_started(
    here: Path, command: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*command, "--broker", url]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("--broker: the broker's address ")
    assert "hunter2" not in said
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("command", [["publish", "hello"], ["work"]], ids=lambda command: command[0])
def test_a_wrong_address_by_hand_is_told_the_same(
    command: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*command, "--url", url]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("--url: the broker's address ")
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "text",
    ["ann:hunter2@h", "http://ann:hunter2", "amqp:/hunter2", "AMQP://hunter2", "compose://hunter2:x@h", "hunter2@h"],
)
def test_a_broker_that_is_none_of_the_words_is_not_repeated_where_it_may_hold_a_password(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(["run", "x.yaml", "--broker", text]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("--broker must be auto, ")
    assert "hunter2" not in said


def test_a_word_that_is_no_broker_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["run", "x.yaml", "--broker", "rabbit"]) == ExitCode.USAGE
    assert "not 'rabbit'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address",
    [
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:99999",
        "tcp://h",
        "http://h:8786",
        "tcp://:8786",
        "tcp://my host:8786",
        "tcp://[1:2]:8786",
        "tcp://[:::]:1",
        "tcp://h:8786/",
        "tcp://h\n:8786",
        "tcp://h:\u0661",
        "",
    ],
)
@pytest.mark.parametrize("command", ["run", "nightly"])
def test_a_scheduler_that_cannot_be_one_is_told_before_anything_is_started(
    here: Path, command: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([command, "x.yaml", "--scheduler", address]) == ExitCode.USAGE
    assert "is no address of a Dask scheduler" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize("command", ["run", "validate", "plan"])
@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("compose:none.yaml", "there is no compose file none.yaml"),
        ("compose:none.yaml:queue", "there is no compose file none.yaml"),
        ("compose:shop.yaml", "shop.yaml has no service 'rabbitmq', but queue, shop"),
        ("compose:shop.yaml:rabbit", "shop.yaml has no service 'rabbit', but queue, shop"),
        ("compose", "there is no compose file compose.yaml"),
        ("compose:x.yaml", "x.yaml is no compose file: it has no services"),
    ],
)
def test_a_compose_file_or_service_that_is_not_there_is_told_before_anything_is_started(
    here: Path, command: str, choice: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("shop.yaml").write_text("services: {queue: {image: rabbitmq}, shop: {image: shop}}")
    assert answer([command, "x.yaml", "--broker", choice]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["shop.yaml", "x.yaml"]


def test_a_scenario_for_an_external_broker_is_valid_and_does_not_run_without_an_address(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text("{name: x, broker: {backend: external}, publishers: {messages: 1}, workers: {}}")
    assert answer(["validate", "x.yaml"]) == ExitCode.AS_EXPECTED
    assert answer(["run", "x.yaml"]) == ExitCode.USAGE
    assert "an external broker needs its address: --broker amqp://" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize("image", ["a b", "UPPER", "-x", "@", ":", "\udcff"])
@pytest.mark.parametrize(
    "command", [["run", "x.yaml"], ["nightly", "x.yaml"], ["explore", "x.yaml"], ["broker"]], ids=lambda each: each[0]
)
def test_an_image_that_cannot_be_one_is_told_before_anything_is_started(
    here: Path, command: list[str], image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer([*command, f"--image={image}"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert said.startswith("--image: ")
    assert "is not the name of an image" in said
    assert said.isascii()
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]


@pytest.mark.parametrize("command", [["run", "x.yaml"], ["broker"], ["doctor"], ["setup", "--image"]], ids=str)
def test_an_image_of_the_environment_that_cannot_be_one_is_told_the_same(
    here: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", {**os.environ, "CHAOS_IMAGE": "\udcff"})
    assert answer(command) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("CHAOS_IMAGE: '\\udcff' is not the name of an image")
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]


def test_a_tag_for_an_image_to_build_that_cannot_be_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["setup", "--image", "--tag", "a b"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("--tag: 'a b' is not the name of an image")


def test_an_image_of_a_scenario_that_cannot_be_one_is_told_with_its_place(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text(
        'name: x\npublishers: {messages: 1}\nbroker:\n  image: "UPPER CASE:\\u202e"\n'
        "controls: {c: {set: {broker.image: a b}, expect: {lost: 0}}}\n"
    )
    assert answer(["validate", "x.yaml"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "x.yaml:4:10: broker.image: 'UPPER CASE:\\u202e' is not the name of an image" in said
    assert sorted(path.name for path in here.iterdir()) == ["x.yaml"]
