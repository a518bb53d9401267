"""The liar between a run's clients and its broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from harness.engine.variant import VariantSetting
from harness.errors import UsageError
from harness.lies.scene import Scene
from harness.lies.told import Order
from harness.proxy.control import ProxyProcess
from harness.traffic.spec import Target

MODULE: Final = "harness.lies.liar"
TOLD_FILE: Final = "told.jsonl"


class LiarLinks:
    """Gives each actor a way of its own through the liar."""

    def __init__(
        self,
        setting: VariantSetting,
        target: Target,
        started: Callable[[int], None],
        *,
        scene: Scene,
        orders: Sequence[Order],
    ) -> None:
        """Start the liar."""
        if target.tls:
            raise UsageError("the liar looks into what it passes on: it needs a broker without TLS")
        self._target = target
        self._known: dict[str, Target] = {}
        task = {
            "token": setting.token,
            "publishers": [place.publisher for place in scene.places],
            "together": [list(place.queues) for place in scene.places],
            "orders": [asdict(order) for order in orders],
            "told": str(told_path(setting.directory)),
        }
        self._process = ProxyProcess(MODULE, task, started)

    def target(self, actor: str) -> Target:
        """Return the actor's own listeners, one for each node."""
        if actor not in self._known:
            ports = [self._process.listen(actor, address) for address in self._target.addresses]
            self._known[actor] = replace(self._target, addresses=tuple(("127.0.0.1", port) for port in ports))
        return self._known[actor]

    def failure(self) -> str | None:
        """Say that the liar has ended by itself."""
        return self._process.failure()

    def close(self) -> None:
        """End the liar."""
        self._process.close()


def told_path(directory: Path) -> Path:
    """Return the file in a variant's folder that says what was told."""
    return directory / TOLD_FILE
