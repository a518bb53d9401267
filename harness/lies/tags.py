"""Tags of one channel, translated between the side that sends messages and the one that settles them.

The broker sends deliveries and the client settles them; the client sends publishes and the broker settles them (confirms). Both sides count
what they send or receive from 1. Once a message was dropped, held back, or put in between, their numbers differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settled:
    """One tag, or all that are not settled up to it."""

    tag: int
    multiple: bool


class UnknownTagError(Exception):
    """A tag was settled that is not open: there is nothing to translate."""


class Tags:
    """The tags of one channel. `sent` ones are the sender's, `received` ones the receiver's."""

    def __init__(self) -> None:
        """Begin with a channel on which nothing was sent."""
        self._sent = 0
        self._received = 0
        self._open_sent: dict[int, None] = {}
        """What the sender waits for, in order."""
        self._open_received: dict[int, int | None] = {}
        """What the receiver has not settled, in order, with the sender's tag; None for what the sender knows nothing of."""

    def send(self) -> int:
        """Count a message of the sender; returns its tag."""
        self._sent += 1
        self._open_sent[self._sent] = None
        return self._sent

    def receive(self, sent: int | None) -> int:
        """Count a message that the receiver gets: one of the sender's, or one that it knows nothing of; returns the receiver's tag."""
        self._received += 1
        self._open_received[self._received] = sent
        return self._received

    def forget(self, *, sent: int | None = None, received: int | None = None) -> None:
        """Expect no settlement of a message, as of a delivery with automatic acks."""
        self._open_sent.pop(sent or 0, None)
        self._open_received.pop(received or 0, None)

    def settle(self, received: int, *, multiple: bool) -> list[tuple[int, int | None]]:
        """Take the receiver's settlement; returns what it settles: its own tag and the sender's, None for what the sender knows nothing of.

        Raises UnknownTagError.
        """
        if multiple:
            tags = [tag for tag in self._open_received if tag <= (received or self._received)]
        else:
            tags = [received] if received in self._open_received else []
        if not tags:
            raise UnknownTagError(f"tag {received} is not open")
        return [(tag, self._open_received.pop(tag)) for tag in tags]

    def passed_on(self, sent: Iterable[int]) -> list[Settled]:
        """Close some of the sender's tags; returns how to tell it so, in one settlement where these are all up to the last one."""
        tags = sorted(set(sent) & self._open_sent.keys())
        if not tags:
            return []
        before = [tag for tag in self._open_sent if tag <= tags[-1]]
        for tag in tags:
            del self._open_sent[tag]
        if before == tags:
            return [Settled(tags[-1], multiple=len(tags) > 1)]
        return [Settled(tag, multiple=False) for tag in tags]

    def are_all(self, sent: Iterable[int]) -> bool:
        """Whether some of the sender's tags are all that it waits for, up to the last of them."""
        tags = sorted(sent)
        return tags == [tag for tag in self._open_sent if tag <= tags[-1]]

    def waiting(self) -> tuple[int, ...]:
        """Return what the sender waits for."""
        return tuple(self._open_sent)
