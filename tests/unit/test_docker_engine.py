"""An engine that cannot be had is told in one sentence, in bounded time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from harness.broker import docker_engine
from harness.broker.docker_engine import connect, engine_errors
from harness.errors import BackendUnavailableError, BrokerError
from tests.unit.fake_engine import FakeEngine, serve

TIMEOUT_S = 1
DRIPS_S = 60.0


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


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1:99999", "its port is not a number up to 65535"),
        ("tcp://127.0.0.1:hunter2", "its port is not a number up to 65535"),
        ("ssh://u:hunter2/x@127.0.0.1", "its port is not a number up to 65535"),
        ("tcp://[::1", "its host is not one"),
        ("tcp://u:hunter2@127.0.0.1:1", "it holds a password"),
        ("tcp://u:hunter2@elsewhere:1", "it holds a password"),
        ("ssh://u:hunter2@127.0.0.1", "it holds a password"),
        ("ftp://u:hunter2@127.0.0.1", "it is not like"),
        ("u:hunter2@127.0.0.1", "it is not like"),
        ("tcp://127.0.0.1:1?hunter2", "it is not like"),
        ("tcp://", "it is not like"),
    ],
)
def test_an_address_with_a_mistake_is_told_in_one_sentence_that_repeats_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(
        BackendUnavailableError, match=f"DOCKER_HOST is not the address of a Docker engine: {said}"
    ) as told:
        connect(timeout_s=TIMEOUT_S)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "address", ["unix:///\udcff", "unix://a\0b", "tcp://\udcff:1", "ssh://127.0.0.1", "http://é:1"]
)
def test_an_address_that_leads_nowhere_is_no_fault_of_the_harness(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr("os.environ", {**os.environ, "DOCKER_HOST": address})
    with pytest.raises(BackendUnavailableError) as told:
        connect(timeout_s=TIMEOUT_S)
    assert str(told.value).isprintable()


def test_an_engine_that_drips_is_given_up_when_the_time_for_an_answer_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        began = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="no Docker engine answers"):
            connect(timeout_s=TIMEOUT_S)
        assert time.monotonic() - began < DRIPS_S / 2


def test_a_command_ends_while_an_engine_drips() -> None:
    program = "from harness.broker.docker_engine import connect\nconnect(timeout_s=1)"
    with dripping() as address:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DOCKER_HOST": address},
            capture_output=True,
            text=True,
            check=False,
            timeout=DRIPS_S,
        )
    assert "no Docker engine answers" in done.stderr
    assert time.monotonic() - began < DRIPS_S / 2


@contextmanager
def dripping() -> Iterator[str]:
    """Answer each request with a space every tenth of a second."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nContent-Type: application/json\r\n\r\n")
            for _ in range(int(DRIPS_S * 10)):
                connection.sendall(b" ")
                if over.wait(0.1):
                    return

    def listen(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, args=(server,), daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
