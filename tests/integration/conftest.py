"""A real broker for every backend that this machine has, and a stage for publishers and workers beside it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.broker.protocol import Broker, BrokerSettings
from harness.broker.select import select
from harness.errors import BackendUnavailableError
from harness.ledger import Ledger
from tests.integration.stage import Stage

REQUIRE_BACKENDS = "CHAOS_TEST_REQUIRE_BACKENDS"
"""Set to 1, a backend that is not available is a failure and no reason to skip."""


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


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("native", "container")],
)
def started_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One node of a backend, started once for a module."""
    run_id = f"test-{secrets.token_hex(4)}"
    ledger = Ledger(run_id)
    settings = BrokerSettings(run_id=run_id, directory=tmp_path_factory.mktemp("broker"))
    try:
        broker = select(request.param, settings, ledger).broker
    except BackendUnavailableError as error:
        ledger.close()
        if os.environ.get(REQUIRE_BACKENDS) == "1":
            pytest.fail(f"the {request.param} backend is required: {error}")
        pytest.skip(str(error))
    try:
        broker.start()
        yield broker
    finally:
        broker.destroy()
        ledger.close()


@pytest.fixture
def broker(started_broker: Broker) -> Iterator[Broker]:
    """A started broker of one node; a test may stop, kill or freeze it."""
    yield started_broker
    started_broker.resume()
    if not started_broker.alive():
        started_broker.start_node()


@pytest.fixture
def stage(broker: Broker, tmp_path: Path) -> Iterator[Stage]:
    """Starts publishers and workers on the broker; whatever still runs at the end is killed."""
    stage = Stage(broker, tmp_path)
    yield stage
    stage.close()
