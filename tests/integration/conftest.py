"""A real broker for every backend that this machine has, and a stage for publishers and workers beside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import pytest

from harness.broker.making import MakeBroker
from harness.broker.pool import BrokerPool
from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.ledger import Ledger
from tests.integration.backends import BACKENDS, EVERY_CHANGE, require
from tests.integration.stage import CLIENTS, Stage

HERE = Path(__file__).parent
SHARED = {"broker", "lasting", "one", "booted", "theirs", "lend"}
"""Fixtures that are, or give, a broker which several tests use one after the other."""


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' ledgers apart from the user's."""
    before = os.environ.get("CHAOS_STATE_DIR")
    os.environ["CHAOS_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["CHAOS_STATE_DIR"]
    else:
        os.environ["CHAOS_STATE_DIR"] = before


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a broker in one process, and leave to the night what repeats a test on another pair of client and broker."""
    for item in items:
        if item.path.parent != HERE:
            continue
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        shared = SHARED & set(getattr(item, "fixturenames", ()))
        if shared and item.get_closest_marker("xdist_group") is None:
            named = sorted((shared | {"backend"}) & parameters.keys())
            which = "-".join(str(parameters[name]) for name in named)
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{which}"))
        if {"stage", "broker"} <= parameters.keys():
            pair = (parameters["stage"], parameters["broker"])
            if pair not in EVERY_CHANGE:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def started_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Broker]]:
    """Gives one node of a backend, by its name, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def started(backend: str) -> Broker:
            require(backend)
            run_id = f"test-{secrets.token_hex(4)}"
            ledger = Ledger(run_id)
            stack.callback(ledger.close)
            settings = BrokerSettings(run_id=run_id, directory=tmp_path_factory.mktemp("broker"))
            broker = select(backend, settings, ledger).broker
            stack.callback(broker.destroy)
            broker.start()
            return broker

        yield started


@pytest.fixture(scope="session")
def lend() -> Iterator[Callable[[str], MakeBroker]]:
    """Gives what makes the brokers of a backend for whole runs: one run after the other has the same broker, in a virtual host of its own."""
    with ExitStack() as stack:
        ledgers = iter([Ledger(f"brokers-{secrets.token_hex(6)}") for _ in BACKENDS])  # among the session's own

        @cache
        def maker(backend: str) -> MakeBroker:
            require(backend)
            pool = stack.enter_context(closing(BrokerPool(next(ledgers))))
            return pool.maker(lambda settings, ledger: (select(backend, settings, ledger).broker, "test"), backend)

        yield maker
        for unused in ledgers:
            unused.close()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that this machine has, by its name."""
    name: str = request.param
    require(name)
    return name


@pytest.fixture(params=BACKENDS)
def broker(request: pytest.FixtureRequest, started_broker: Callable[[str], Broker]) -> Iterator[Broker]:
    """A started broker of one node, shared with other tests; a test may stop, kill or freeze it."""
    broker = started_broker(request.param)
    yield broker
    broker.resume()
    if not broker.alive():
        broker.start_node()


@pytest.fixture(params=CLIENTS)
def stage(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Starts publishers and workers on the broker, of either client; whatever still runs at the end is killed."""
    stage = Stage(broker, tmp_path, request.param)
    yield stage
    stage.close()
