"""An engine that cannot be had is told in one sentence, in bounded time."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.broker import docker_engine
from harness.broker.docker_engine import connect, engine_errors
from harness.errors import BackendUnavailableError, BrokerError
from tests.unit.fake_engine import FakeEngine, serve

TIMEOUT_S = 1


def test_an_engine_that_accepts_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("DOCKER_HOST", address)
        began = time.monotonic()
        with pytest.raises(BackendUnavailableError, match=f"no Docker engine answers at {address}"):
            connect(timeout_s=TIMEOUT_S)
        assert time.monotonic() - began >= TIMEOUT_S


def test_an_address_where_nothing_is_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none.sock'}")
    with pytest.raises(BackendUnavailableError, match=r"none\.sock, which DOCKER_HOST names; start one"):
        connect(timeout_s=TIMEOUT_S)


def test_an_engine_that_left_a_call_unanswered_is_not_waited_for_as_long_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "ANSWER_TIMEOUT_S", 1)
    with serve(FakeEngine(frozen=True)) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.address)
        with closing(connect(timeout_s=3)) as client, closing(connect(timeout_s=1)) as other:
            assert client.api.timeout == 3
            with (
                pytest.raises(BrokerError, match="looking failed: the Docker engine does not answer"),
                engine_errors("looking"),
            ):
                other.containers.list()
            assert client.api.timeout == 1


def test_an_engine_that_answers_with_an_error_is_waited_for_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(FakeEngine()) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.address)
        with closing(connect(timeout_s=60)) as client:
            with pytest.raises(BrokerError, match="looking failed"), engine_errors("looking"):
                client.containers.list()
            assert client.api.timeout == 60
