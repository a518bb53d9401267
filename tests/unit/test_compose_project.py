"""What a compose project says of the service that is to be the broker. The models are what `docker compose config` gave."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.broker.compose_contents import Addition, Contents, added
from harness.broker.compose_project import Compose, Project, compose_command, read
from harness.errors import BackendUnavailableError, BrokerError, UsageError

LOCAL = {"mode": "ingress", "host_ip": "127.0.0.1", "target": 5672, "published": "5672", "protocol": "tcp"}


def project(service: dict[str, Any], **others: Any) -> Project:
    return Project(Path("compose.yaml"), "shop", "queue", {"services": {"queue": service}} | others)


def test_the_port_that_is_published_on_this_machine_only_is_the_one() -> None:
    assert project({"ports": [LOCAL | {"target": 15672, "published": "8080"}, LOCAL]}).published_port() == 5672


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({}, "publishes no AMQP port"),
        ({"ports": [LOCAL | {"target": 15672}]}, "publishes no AMQP port"),
        ({"ports": [{key: value for key, value in LOCAL.items() if key != "host_ip"}]}, "on every address"),
        ({"ports": [LOCAL | {"host_ip": "0.0.0.0"}]}, r"on 0\.0\.0\.0"),  # noqa: S104
        ({"ports": [LOCAL, LOCAL | {"host_ip": "192.0.2.1"}]}, r"on 192\.0\.2\.1"),
        ({"ports": [{key: value for key, value in LOCAL.items() if key != "published"}]}, "may change"),
        ({"ports": [LOCAL | {"published": "25000-25010"}]}, "may change"),
        ({"network_mode": "host"}, "host's network"),
    ],
)
def test_any_other_way_to_publish_is_refused_with_what_to_say(service: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        project(service).published_port()
    assert str(caught.value).startswith("compose.yaml: service queue")
    assert '"127.0.0.1:5672:5672"' in str(caught.value)


def test_what_comes_up_with_a_service_is_what_it_depends_on_and_all_that_the_project_makes() -> None:
    model = {
        "services": {
            "queue": {"depends_on": {"setup": {}}},
            "setup": {"depends_on": {"store": {}, "queue": {}}},
            "store": {},
            "shop": {"depends_on": {"queue": {}}},
        },
        "volumes": {
            "kept": {"name": "elsewhere"},
            "data": {"name": "shop_data"},
            "theirs": {"name": "theirs", "external": True},
        },
        "networks": {"default": {"name": "shop_default"}, "public": {"name": "public", "external": True}},
    }
    found = Project(Path("compose.yaml"), "shop", "queue", model)
    assert set(found.brought_along()) == {"queue", "setup", "store"}
    assert found.volumes() == ("elsewhere", "shop_data")
    assert found.networks() == ("shop_default",)
    assert project({}).volumes() == project({}).networks() == ()


def test_only_what_came_up_between_two_looks_is_an_addition() -> None:
    before = Contents({"a": "running", "b": "exited", "c": "exited"}, frozenset({"old"}), frozenset({"net"}))
    after = Contents(
        {"a": "running", "b": "running", "c": "exited", "d": "running"}, frozenset({"old", "new"}), frozenset({"net"})
    )
    assert added(before, after) == Addition(frozenset({"d"}), frozenset({"b"}), frozenset({"new"}), frozenset())
    assert added(after, after) == Addition(frozenset(), frozenset(), frozenset(), frozenset())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml; name it with --broker compose:FILE"):
        read(Compose(tmp_path / "no.yaml", {}), "queue")


@pytest.mark.parametrize(
    ("answers", "command"),
    [
        ({"docker": "2.26.1"}, ["docker", "compose"]),
        ({"docker": "", "docker-compose": "v2.40.0"}, ["docker-compose"]),
        ({"docker-compose": "1.29.2"}, None),
        ({"docker": ""}, None),
        ({}, None),
    ],
)
def test_the_second_version_of_compose_is_found_in_either_form(
    answers: dict[str, str], command: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version in answers.items():
        program = tmp_path / name
        program.write_text(f"#!{shutil.which('sh')}\n[ -n '{version}' ] && echo '{version}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if command is not None:
        assert compose_command() == command
        return
    with pytest.raises(BackendUnavailableError, match="chaos setup --compose"):
        compose_command()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (
            "include cycle detected:\n/a/l.yaml\n include /a/l.yaml\n",
            "include cycle detected: /a/l.yaml include /a/l.yaml",
        ),
        ('time="1" level=warning msg="old"\nCircular reference:\n  a in b\n', "Circular reference: a in b"),
        ("Cannot connect to tcp://u:hunter2@127.0.0.1:1\n", r"Cannot connect to tcp://u:\*\*\*@127\.0\.0\.1:1"),
        ("", "it said nothing"),
    ],
)
def test_what_compose_complains_of_is_told_as_a_whole_and_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, complaint: str
) -> None:
    (tmp_path / "said").write_text(said)
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n[ "$2" = version ] && echo 2.26.1 && exit\ncat {tmp_path}/said >&2; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BrokerError, match=rf"docker compose config of shop\.yaml failed: {complaint}$"):
        Compose(Path("shop.yaml"), {"PATH": f"{tmp_path}:/usr/bin:/bin"}).run("config")
