"""The traffic of a variant's run: publishers and workers are started and released, and the timeline follows what they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.engine import plan as planning
from harness.engine.by_hand import ManualPublisher
from harness.engine.counters import Totals
from harness.engine.load import LoadMeter
from harness.engine.outbox import Outbox
from harness.engine.processes import Processes
from harness.engine.realtime import realtime_priority
from harness.engine.timeline import Timeline
from harness.errors import InfrastructureError
from harness.events import CutOff, Note, PublishingEnded, TrafficStarted
from harness.scenario.scenario import Scenario
from harness.scenario.traffic import Publishers

BUSY_POLL_S = 0.002
"""How often counters are read while a step waits for progress."""
IDLE_POLL_S = 0.01
START_TIMEOUT_S = 30.0
"""How long processes may take to connect and consume."""


@dataclass(frozen=True, slots=True)
class Participants:
    """All that takes part in the traffic, and what it has done so far."""

    processes: Processes
    timeline: Timeline
    hand: ManualPublisher

    def totals(self) -> Totals:
        """Return what all processes were last seen to have done, and what was published by hand."""
        totals = self.processes.totals()
        return replace(
            totals,
            published=totals.published + self.hand.published,
            copies=totals.copies + self.hand.published,  # each through the default exchange, to one queue
            confirmed=totals.confirmed + self.hand.confirmed,
        )


class Traffic:
    """From the first worker's start to the last publisher's end and the last step of the timeline."""

    def __init__(
        self,
        scenario: Scenario,
        cast: Participants,
        *,
        outbox: Outbox,
        variant: str,
        housekeep: Callable[[], None],
        before_release: Callable[[], None],
    ) -> None:
        """Prepare; `housekeep` is called all the while, and looks at the processes. `before_release` is called when all are connected."""
        self._scenario = scenario
        self._cast = cast
        self._outbox = outbox
        self._variant = variant
        self._housekeep = housekeep
        self._before_release = before_release
        self._workers_started = False
        self._going_by_time = [group for group in scenario.publishers if group.duration is not None]
        self._began_ns = time.monotonic_ns()

    def run(self) -> None:
        """Run it all. Raises InfrastructureError."""
        cast, processes, timeline = self._cast, self._cast.processes, self._cast.timeline
        processes.add(planning.publishers(self._scenario))
        if not self._scenario.backlog_first:
            self._start_workers()
        self._wait_for(processes.not_connected, "publishers to connect")
        self._before_release()
        self._outbox.emit(TrafficStarted(at_ns=time.monotonic_ns(), variant=self._variant))
        released = time.monotonic()
        processes.release()
        with realtime_priority(), LoadMeter(processes.loads) as load:
            while True:
                self._housekeep()
                elapsed_s = time.monotonic() - released
                timeline.advance(cast.totals(), elapsed_s)
                published = processes.publishers_done()
                if not load.over and published:
                    self._outbox.emit(load.measured(self._variant))
                if self._over(published, elapsed_s):
                    break
                self._end_those_whose_time_is_over(elapsed_s)
                if published and not self._workers_started:
                    self._start_workers()
                rest_s = BUSY_POLL_S if timeline.progress_pending else IDLE_POLL_S
                time.sleep(min(rest_s, timeline.until_due_s(time.monotonic() - released)))
            if not load.over:
                self._outbox.emit(load.measured(self._variant))

    def _over(self, published: bool, elapsed_s: float) -> bool:
        if published and self._workers_started and not self._can_still_progress():
            return True
        if elapsed_s > self._scenario.time_limit:
            limit = f"the time limit of {self._scenario.time_limit:g} s ended the traffic"
            message = f"{limit} {self._unfinished(published=published)}"
            kind = Note if published or self._sent_all() else CutOff
            self._outbox.emit(kind(at_ns=time.monotonic_ns(), variant=self._variant, message=message))
            self._cast.processes.stop_all("publisher")
            return True
        return False

    def _unfinished(self, *, published: bool) -> str:
        """Say what the time limit cut off."""
        if not published and not self._sent_all():
            return "before everything was sent" + ("" if self._workers_started else ", so no worker was started")
        if not published:
            return "while publishers still waited for confirms"
        if not self._workers_started:
            return "before the workers were started"
        return f"while the timeline was not over: {', '.join(self._cast.timeline.unfinished)}"

    def _sent_all(self) -> bool:
        """Whether the publishers have sent all that they shall; False where counting cannot tell."""
        wanted = self._scenario.expected_messages
        if wanted is not None:
            return self._cast.totals().published >= wanted
        by_time = all(group.messages_each is None for group in self._scenario.publishers)
        return by_time and not self._going_by_time

    def _can_still_progress(self) -> bool:
        """Whether a step that is not over may still strike or heal: something is under way, or work is left to be done."""
        timeline, totals = self._cast.timeline, self._cast.totals()
        if timeline.finished:
            return False
        if timeline.active or timeline.clock_pending:
            return True
        idle_s = (time.monotonic_ns() - max(totals.last_processed_ns, self._began_ns)) / 1e9
        return idle_s < self._scenario.drain.timeout and (
            totals.backlog > 0 or totals.in_flight > 0 or idle_s < self._scenario.drain.quiet
        )

    def _end_those_whose_time_is_over(self, elapsed_s: float) -> None:
        for group in self._going_by_time.copy():
            if _published_enough(group, elapsed_s, self._cast.timeline):
                self._going_by_time.remove(group)
                at_ns = time.monotonic_ns()
                self._cast.processes.end_publishing(group)
                self._outbox.emit(PublishingEnded(at_ns=at_ns, variant=self._variant, group=group.name))

    def _start_workers(self) -> None:
        self._workers_started = True
        self._cast.processes.add(planning.workers(self._scenario))
        self._wait_for(self._cast.processes.not_consuming, "workers to consume")

    def _wait_for(self, missing: Callable[[], Sequence[str]], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while names := missing():
            if time.monotonic() > deadline:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                said = ", ".join(names[:3]) + more
                raise InfrastructureError(f"timed out after {START_TIMEOUT_S:g} s waiting for {what}: {said}")
            time.sleep(BUSY_POLL_S)
            self._housekeep()


def _published_enough(group: Publishers, elapsed_s: float, timeline: Timeline) -> bool:
    """Whether the time of a group that goes by time is over."""
    if group.duration == "timeline":
        return timeline.finished
    return group.duration is not None and elapsed_s >= group.duration
