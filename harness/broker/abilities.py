"""What each backend can do to its nodes, known before anything is started and without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping

from harness.broker.protocol import Ability

ALL = frozenset(Ability)


def abilities(backend: str, commands: Mapping[str, str]) -> frozenset[Ability]:
    """Return what can be done: everything, but for an external broker, which can do what `commands` names.

    A restart takes `restart`, or `stop` and `start`; a kill `kill` (and `start` where it does not come back by itself); a pause
    `pause` and `resume`.
    """
    if backend != "external":
        return ALL
    able = set()
    if "restart" in commands or {"stop", "start"} <= commands.keys():
        able.add(Ability.RESTART)
    if "kill" in commands:
        able.add(Ability.KILL)
    if {"pause", "resume"} <= commands.keys():
        able.add(Ability.PAUSE)
    return frozenset(able)
