"""How whoever needs a broker gets one."""

from __future__ import annotations

from typing import Protocol

from harness.broker.protocol import Broker, BrokerSettings
from harness.ledger import Ledger


class MakeBroker(Protocol):
    """Chooses and makes a broker, not started yet, and says in one line which and why."""

    def __call__(self, settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
        """Make it. Raises BrokerError."""
