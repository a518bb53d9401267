"""An engine that cannot be had is told in one sentence, in bounded time."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from harness.broker.docker_engine import connect
from harness.errors import BackendUnavailableError

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
