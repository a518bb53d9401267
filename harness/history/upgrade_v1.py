"""Events of version 1: their faults declared no effects. What each of the harness's own may do is known by its name.

This is the only place that knows a fault by its name and family.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from harness.effects import HARMLESS, UNDECLARED, AtRisk, Becomes, Cuts, Effects, Takes, on_node, on_process

_BECOMES: Final = {
    "kill": Becomes.KILLED,
    "stop": Becomes.STOPPED,
    "restart": Becomes.STOPPED,
    "pause": Becomes.FROZEN,
    "resume": Becomes.THAWED,
}
"""What became of a node or process that was struck."""

_OTHERS: Final = {
    "close": Effects(cuts=Cuts.EVERYONE, at_risk=AtRisk.ON_CUT_CONNECTIONS, claims_broker=True),
    "scale": Effects(cuts=Cuts.TARGETS),
    "declare": HARMLESS,
    "publish": HARMLESS,
    "purge": Effects(at_risk=AtRisk.WAITING, takes=Takes.WAITING),
}
"""What a fault of any other name did."""

_NOUNS: Final = {
    "close": ("closing of all connections", "closings of all connections"),
    "scale": ("scaling", "scalings"),
    "declare": ("second declaration", "second declarations"),
    "publish": ("publish by hand", "publishes by hand"),
}


class Upgrade:
    """Brings the events of one file up to date, in their order."""

    def __init__(self) -> None:
        """Begin a file."""
        self._actors: set[str] = set()

    def __call__(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of an event of a class, with what version 1 did not write; what is no such event is left as it is."""
        if name == "ProcessStarted" and isinstance(data.get("actor"), str):
            self._actors.add(data["actor"])
        if name != "FaultInjected" or "effects" in data:
            return data
        action, listed, family = data.get("action"), data.get("targets"), data.get("family")
        if (
            not isinstance(action, str)
            or not isinstance(listed, list)
            or not all(isinstance(each, str) for each in listed)
        ):
            return data
        targets = tuple(listed)
        if action in _BECOMES:  # a restart was of the broker's family, and may have been a worker's
            family = "process" if self._actors & set(targets) else "broker"
        return {
            **data,
            "family": family,
            "effects": asdict(_effects(action, is_node=family == "broker")),
            "noun": _noun(action, targets, is_node=family == "broker"),
        }


def _effects(action: str, *, is_node: bool) -> Effects:
    if action not in _BECOMES:
        return _OTHERS.get(action, UNDECLARED)
    return on_node(_BECOMES[action]) if is_node else on_process(_BECOMES[action])


def _noun(action: str, targets: tuple[str, ...], *, is_node: bool) -> tuple[str, str]:
    if action not in _BECOMES:
        return _NOUNS.get(action, (action, f"{action}s"))
    kind = "broker" if is_node else (targets or ("",))[-1].rpartition("-")[0] or "process"
    return f"{kind} {action}", f"{kind} {action}s"
