"""The schedules of publishers with a rate: when each message was due, and how many were not sent in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.checks.tally.columns import Here, TimeColumn, TimesByCopy
from harness.checks.tally.message_table import MessageTable
from harness.checks.tally.messages import Messages
from harness.checks.tally.times import NEVER
from harness.events import Event, PublishingEnded
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Publishers
from harness.verdict.times import Schedule

TOLERANCE_S: Final = 0.25
"""A message that was sent so long after it was due, and no longer, counts as sent in time. A busy machine lets processes wait: on two cores
beside four busy processes and eight publishers, 0.2 s at the most was measured. What is less is also made up for without `catch_up`."""


class DueTimes:
    """When each message was due: message N is due N / rate seconds after its publisher's first message.

    NEVER where its publisher has no rate, or is not known to have begun.
    """

    def __init__(self, messages: Messages, rates: dict[str, float | None]) -> None:
        """`rates` are by publisher, in messages a second."""
        self._total = messages.total
        self._offsets = np.array([*messages.offsets.values()] or [0], dtype=np.int64)
        self._gaps_ns = np.zeros(len(self._offsets))
        self._origins_ns = np.full(len(self._offsets), NEVER, dtype=np.int64)
        for place, number in enumerate(messages.offsets):
            rate = rates.get(messages.publisher_names[number])
            if rate is not None:
                self._gaps_ns[place] = 1e9 / rate
                self._origins_ns[place] = messages.first_published_ns[self._offsets[place : place + 1]][0]

    def __len__(self) -> int:
        """Return the number of messages."""
        return self._total

    def __getitem__(self, here: Here) -> NDArray[np.int64]:
        """Return those of some messages."""
        message = here if isinstance(here, np.ndarray) else np.arange(*here.indices(self._total))
        place = self._publishers(here, message)
        due_ns: NDArray[np.int64] = np.rint((message - self._offsets[place]) * self._gaps_ns[place]).astype(np.int64)
        due_ns += self._origins_ns[place]
        due_ns[np.broadcast_to(self._origins_ns[place] == NEVER, len(due_ns))] = NEVER
        return due_ns

    def _publishers(self, here: Here, message: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of each message's publisher; one place where it is the same for a whole slice."""
        ends = message if isinstance(here, np.ndarray) else message[[0, -1]] if len(message) else message
        place = np.searchsorted(self._offsets, ends, side="right") - 1
        if isinstance(here, np.ndarray) or not len(message) or place[0] == place[-1]:
            return place[:1] if isinstance(here, slice) else place
        return np.searchsorted(self._offsets, message, side="right") - 1

    def known(self, here: Here) -> NDArray[np.bool_]:
        """Return of some messages whether it is known when they were due."""
        known: NDArray[np.bool_] = self[here] != NEVER
        return known

    def count_before(self, number: int, messages: Messages, at_ns: int) -> int:
        """Return how many messages of a publisher were due before a time, sent or not; 0 where its schedule is not known."""
        place = [*messages.offsets].index(number)
        if self._origins_ns[place] == NEVER:
            return 0
        return max(0, int(np.ceil((at_ns - self._origins_ns[place]) / self._gaps_ns[place])))


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of a run's publishers."""

    due: DueTimes
    due_by_copy: TimeColumn


def schedules(tally: MessageTable, scenario: Scenario) -> Schedules | None:
    """Return the schedules of the publishers that have a rate; None if none of them has."""
    rates = {actor: group.rate_per_s for group in scenario.publishers for actor in group.actors}
    if all(rate is None for rate in rates.values()):
        return None
    due = DueTimes(tally.messages, rates)
    return Schedules(due, due if tally.copies.single else TimesByCopy(due, tally.copies))


def kept(found: Schedules, tally: MessageTable, scenario: Scenario, events: Sequence[Event]) -> Schedule:
    """Count the messages that were not sent in time, or never."""
    messages, sent, late, most_late_ns = tally.messages, 0, 0, 0
    for here in messages.slices():
        due_ns = found.due[here]
        scheduled = (due_ns != NEVER) & messages.published.some[here]
        late_ns = (messages.first_published_ns[here] - due_ns)[scheduled]
        sent += len(late_ns)
        late += int(np.count_nonzero(late_ns > TOLERANCE_S * 1e9))
        most_late_ns = max(most_late_ns, int(late_ns.max(initial=0)))
    return Schedule(
        sent=sent,
        late=late,
        most_late_s=most_late_ns / 1e9,
        tolerance_s=TOLERANCE_S,
        never_sent=_never_sent(found.due, tally, scenario, events),
    )


def _never_sent(due: DueTimes, tally: MessageTable, scenario: Scenario, events: Sequence[Event]) -> int | None:
    """Count the messages of the schedules that were never sent; None where a group's end is not known."""
    ended_ns = {event.group: event.at_ns for event in events if isinstance(event, PublishingEnded)}
    missing = 0
    for group in scenario.publishers:
        if group.rate_per_s is None:
            continue
        if group.messages_each is None and group.name not in ended_ns:
            return None
        for actor in group.actors:
            missing += max(
                0, _scheduled(actor, group, due, tally.messages, ended_ns) - _published(actor, tally.messages)
            )
    return missing


def _scheduled(actor: str, group: Publishers, due: DueTimes, messages: Messages, ended_ns: dict[str, int]) -> int:
    """Return how many messages a publisher's schedule has; of one that goes by time, those that came due well before its end."""
    if group.messages_each is not None:
        return group.messages_each
    number = _number(actor, messages)
    return 0 if number is None else due.count_before(number, messages, ended_ns[group.name] - int(TOLERANCE_S * 1e9))


def _published(actor: str, messages: Messages) -> int:
    number = _number(actor, messages)
    if number is None:
        return 0
    begin = messages.offsets[number]
    end = min((offset for offset in messages.offsets.values() if offset > begin), default=messages.total)
    return sum(
        int(np.count_nonzero(messages.published.some[place : min(place + _AT_ONCE, end)]))
        for place in range(begin, end, _AT_ONCE)
    )


_AT_ONCE = 1 << 16


def _number(actor: str, messages: Messages) -> int | None:
    """Return the number of a publisher that has published something; None of another."""
    return next((number for number in messages.offsets if messages.publisher_names[number] == actor), None)
