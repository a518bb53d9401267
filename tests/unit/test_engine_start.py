"""How a run begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from harness.engine import traffic
from harness.errors import InfrastructureError


def test_who_did_not_begin_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "START_TIMEOUT_S", 0.01)
    begun = cast("traffic.Traffic", SimpleNamespace(_housekeep=lambda: None))
    names = [f"worker-{number} from side" for number in range(1, 6)]
    said = "waiting for workers to consume: worker-1 from side, worker-2 from side, worker-3 from side and 2 more"
    with pytest.raises(InfrastructureError, match=f"{said}$"):
        traffic.Traffic._wait_for(begun, lambda: names, "workers to consume")
    traffic.Traffic._wait_for(begun, lambda: [], "workers to consume")
