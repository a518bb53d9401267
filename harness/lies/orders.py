"""Which lies are told in a run, and of which messages: drawn by a seed."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any, Final

from harness.lies.kinds.base import AsIf, Lie
from harness.lies.registry import lies
from harness.lies.scene import REJECTED_EVERY, WINDOWS, Beside, Place, Scene, Window
from harness.lies.told import Order

APART: Final = 2
"""How far apart the messages are that lies are ordered of, at least: a lie that finds its message unsuited takes a later one."""


def draw_orders(scene: Scene, beside: Beside, names: Collection[str], random: Random) -> list[Order]:
    """Order each lie once for each queue (or for a whole message) that it fits, before the fault and after it.

    While the fault strikes, those are told that an honest broker may leave the same history as.
    """
    orders: list[Order] = []
    for number, place in enumerate(scene.places, start=1):
        for window, (first, last) in WINDOWS.items():
            wanted = [
                (lie, queue)
                for lie in lies().values()
                if lie.name in names
                and lie.fits(place)
                and (window is not Window.MEANWHILE or _hidden(lie, beside, place))
                for queue in (place.queues if lie.of_copies else ("",))
            ]
            chosen = random.sample(range(first, last, APART), len(wanted))
            for (lie, queue), seq in zip(wanted, chosen, strict=True):
                orders.append(Order(lie.name, number, *_range(seq, last), queue, window))
    return orders


def _hidden(lie: Lie[Any], beside: Beside, place: Place) -> bool:
    """Whether an honest broker may leave the same beside a fault."""
    if lie.as_if is None or beside not in lie.as_if.beside:
        return False
    return lie.as_if is not AsIf.REMOVED or beside.purges in place.queues


def _range(seq: int, last: int) -> tuple[int, int]:
    """Begin at a sequence number that is not rejected, nor the one after it, and end before the next of those."""
    while seq % REJECTED_EVERY >= REJECTED_EVERY - 2:
        seq += 1
    rejected = seq + REJECTED_EVERY - 1 - seq % REJECTED_EVERY
    return seq, min(last, rejected - 2)
