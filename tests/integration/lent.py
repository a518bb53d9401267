"""A broker that runs already, lent to one run after the other: what a run declares is taken away when the run gives it back."""

from __future__ import annotations

from typing import Any, cast

from harness.broker.making import MakeBroker
from harness.broker.protocol import Broker, BrokerSettings
from harness.ledger import Ledger
from harness.scenario.scenario import Scenario
from harness.traffic import topology
from harness.traffic.spec import Target


class Lent:
    """The broker, as a run has it."""

    def __init__(self, broker: Broker, scenario: Scenario) -> None:
        self._broker, self._scenario = broker, scenario

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def start(self) -> None:
        """It runs."""

    def destroy(self) -> None:
        """Leave it as it was."""
        if not self._broker.alive():
            self._broker.start_node()
        endpoint = self._broker.endpoint()
        address = ((endpoint.host, endpoint.port),)
        target = Target(address, username=endpoint.username, password=endpoint.password)
        topology.delete(target, tuple(self._scenario.queues), tuple(self._scenario.exchanges))


def lent(broker: Broker, scenario: Scenario) -> MakeBroker:
    """Give a run what it makes its broker with."""

    def make(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:  # noqa: ARG001 - it is made already
        return cast("Broker", Lent(broker, scenario)), "lent"

    return make
