"""The fate of every copy, decided from a history alone.

The rule: "Copies = done + lost + dead-lettered (at rest) + expired + dropped + removed + retained + stranded + in transit + never
promised." A copy that died and led to several queues has ended: it counts only where its work was done before that, or another
attempt of its publish is still there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, cached_property

from harness.events import BrokerLook
from harness.history.history import History
from harness.scenario.scenario import Scenario
from tests.oracle.duplicates import Duplicates
from tests.oracle.lives import Life, Lives, Name, refused
from tests.oracle.options import Option, Options
from tests.oracle.reading import Delivery, Found, Records
from tests.oracle.topology import Topology


@dataclass(frozen=True)
class Decision:
    """What is said of one copy."""

    fate: str
    sure: bool = True
    """Whether it is shown; else `others` may be true instead."""
    others: frozenset[str] = frozenset()
    option: Option | None = None
    """How it went, for one that is gone."""
    options: tuple[Option, ...] = ()


class Oracle:
    """Reads a history and decides."""

    def __init__(self, history: History, scenario: Scenario) -> None:
        self.history, self.scenario = history, scenario
        self.lost_beyond_counters = 0
        """How many copies are lost, beside those that are named, because the broker's counters do not cover them."""
        self.records = Records(history)
        self.topology = Topology(scenario, history)
        self.lives = Lives(self.records, self.topology)
        self._options = Options(self.lives, self.topology, history.events)

    @cached_property
    def decisions(self) -> dict[Name, Decision]:
        """The fate of every copy that counts."""
        first = {name: self._decide(life) for name, life in self.lives.of.items()}
        decided = {name: each for name, each in first.items() if each is not None}
        shown = Shown(self, decided)
        found = shown.decide()
        self.lost_beyond_counters = shown.lost_at_least
        return found

    def _decide(self, life: Life) -> Decision | None:
        promised = any(each.promised for each in life.publishes)
        if any(done(each) for each in life.deliveries):
            return Decision("done" if promised else ("resurrected" if self._refused(life) else "recovered"))
        if life.found:  # of an attempt that has not gone on, perhaps
            roles = {self.topology.role(each.queue, life.key) for each in life.found}
            return Decision(next(role for role in ("stranded", "in transit", "dead-lettered") if role in roles))
        if life.ended:
            return None
        if not promised:
            return Decision("never promised")
        options = tuple(self._options.of(life))
        if not options:
            return Decision("lost", option=Option("lost", "unknown", life.from_queue))
        return Decision(options[0].fate, option=options[0], options=options)

    def _refused(self, life: Life) -> bool:
        return any(
            each.completed_ns is not None and refused(life, each.attempt, self.topology) for each in life.deliveries
        )

    # What is asked.

    @cached_property
    def fates(self) -> Counter[str]:
        return Counter(decision.fate for decision in self.decisions.values())

    def by_queue(self) -> dict[str, Counter[str]]:
        """Fates by the copies' first queues."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for name, decision in self.decisions.items():
            found[name.first][decision.fate] += 1
        return dict(found)

    def lost(self) -> set[Name]:
        return {name for name, decision in self.decisions.items() if decision.fate == "lost"}

    def corrupt(self) -> set[tuple[int, int]]:
        seen: list[Delivery | Found] = [*self.records.deliveries, *self.records.found]
        return {each.key for each in seen if each.corrupt and self.records.known(each.key, each.attempt)}

    def phantoms(self) -> int:
        """Completed or found, and never published by this run."""
        return sum(not isinstance(each, Delivery) or each.completed_ns is not None for each in self.lives.phantoms)

    @cached_property
    def duplicates(self) -> Duplicates:
        return Duplicates(self.lives, self.topology, self._options.faults)

    def out_of_order(self) -> int:
        """How many copies were first completed after one of the same publisher and queue that was published later."""
        times: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
        for name, life in self.lives.of.items():
            completed = [each.completed_ns for each in life.deliveries if each.completed_ns is not None and done(each)]
            if completed:
                times[name.key[0], life.from_queue].append((name.key[1], min(completed)))
        count = 0
        for of_queue in times.values():
            ordered = [at_ns for _, at_ns in sorted(of_queue)]
            count += sum(any(before > at_ns for before in ordered[:place]) for place, at_ns in enumerate(ordered))
        return count

    def done_twice(self) -> dict[Name, list[Delivery]]:
        """Copies whose work was completed more than once, with the deliveries that were completed, in order."""
        found = {}
        for name, life in self.lives.of.items():
            completed = sorted(
                (each for each in life.deliveries if done(each)), key=lambda each: each.completed_ns or 0
            )
            if len(completed) > 1:
                found[name] = completed
        return found


def done(delivery: Delivery) -> bool:
    """The rule: "its work was completed at least once, intact"."""
    return delivery.completed_ns is not None and not delivery.corrupt


class Shown:
    """Holds what may explain a missing copy against what the broker counted, and against what the history proves.

    The rule: "Shown (expired, dropped) means: it arrived dead-lettered with that reason; or the history proves that it stood in the
    queue at that moment [...]; or the broker's own counters of dead-lettered messages by reason [...] cover the number."
    """

    def __init__(self, oracle: Oracle, decisions: dict[Name, Decision]) -> None:
        self.oracle, self.decisions = oracle, decisions
        self._below = cache(self._find_below)
        self.capacity = self._capacity(oracle.topology.first, oracle.topology.last)
        self.lost_at_least = 0
        """How many of those that may have expired or been dropped cannot have been: the broker counted fewer."""

    def _capacity(self, first: BrokerLook | None, last: BrokerLook | None) -> dict[str, int] | None:
        """How many died unseen, by type, strategy and reason; None where the broker's counters say nothing."""
        if (
            first is None
            or last is None
            or not last.dead_lettered
            or not (first.own_virtual_host and last.own_virtual_host)
        ):
            return None
        if first.node_started != last.node_started:
            return None
        counted: Counter[str] = Counter()
        for look, sign in ((last, 1), (first, -1)):
            for figures in look.dead_lettered.values():
                for what, count in figures.items():
                    counted[what] += sign * count
        seen = Counter(self.kind(queue, reason) for _, queue, reason in self._seen_deaths())
        for queue, count in self._expired_after(last).items():
            counted[self.kind(queue, "expired")] += count
        return {what: counted[what] - seen[what] for what in {*counted, *seen}}

    def _expired_after(self, last: BrokerLook) -> dict[str, int]:
        """How many expired between the last look and the collector, by queue: they were there, and were not found."""
        found = Counter(each.queue for each in self.oracle.records.found)
        gone = {
            facts.name: max(0, facts.ready - found[facts.name])
            for facts in last.queues
            if facts.name in self.oracle.topology.queues and self.oracle.topology.queues[facts.name].ttl_ns is not None
        }
        # What has left one of them may have died in the next one as well.
        return {
            queue: count + sum(gone[other] for other in gone if other != queue and queue in self._below(other))
            for queue, count in gone.items()
        }

    def kind(self, queue: str, reason: str) -> str:
        there = self.oracle.topology.queues[queue]
        strategy = "disabled"
        if there.dead_letters is not None:
            strategy = "at_least_once" if there.at_least_once else "at_most_once"
        return f"{there.kind}/{strategy}/{reason}"

    def _seen_deaths(self) -> list[tuple[object, str, str]]:
        """Every death that a delivery or a found message tells of, once: those before a fork are shared by its branches."""
        found: dict[tuple[object, str, str], None] = {}
        for name, life in self.oracle.lives.of.items():
            for each in life.seen:
                carried = next(mine.carried for mine in life.publishes if mine.attempt == each.attempt)
                for queue, reason, count in each.death.path[carried:] if each.death is not None else ():
                    for time in range(count):
                        found[(name.key, name.first, self._fork_of(life, queue), each.attempt, time), queue, reason] = (
                            None
                        )
        return list(found)

    def _fork_of(self, life: Life, queue: str) -> tuple[str, ...]:
        """The branches taken before a copy died in a queue: those up to the queue, where it is one of them."""
        branches = life.name.branches
        if queue not in branches:
            if queue == life.name.first:
                return ()
            reachable = (place for place, branch in enumerate(branches) if queue in self._below(branch))
            return branches[: next(reachable, -1) + 1]
        return branches[: branches.index(queue) + 1]

    def _find_below(self, queue: str) -> set[str]:
        found: set[str] = set()
        waiting = [queue]
        while waiting:
            here = waiting.pop()
            for target in self.oracle.topology.after_death(here, here)[0]:
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return found

    def decide(self) -> dict[Name, Decision]:
        if self.capacity is not None:
            self._rule_out(self.capacity)
        groups: dict[str, list[Name]] = defaultdict(list)
        for name, decision in self.decisions.items():
            option = decision.option
            if option is None:
                continue
            others = frozenset(each.fate for each in decision.options) - {decision.fate}
            if not option.proved and option.deaths and option.deaths[-1][1] in ("expired", "maxlen", "delivery_limit"):
                groups[self.kind(*option.deaths[-1])].append(name)
            self.decisions[name] = Decision(decision.fate, not others, others, option, decision.options)
        for kind, names in groups.items():
            if self.capacity is not None:
                self.lost_at_least += max(0, len(names) - self.capacity.get(kind, 0))
            covered = self.capacity is not None and len(names) <= self.capacity.get(kind, 0)
            for name in names:
                decision = self.decisions[name]
                sure = covered or (self.capacity is None and self._proved(decision))
                others = frozenset() if sure else decision.others | {"lost"}
                self.decisions[name] = Decision(decision.fate, sure, others, decision.option, decision.options)
        return self.decisions

    def _rule_out(self, capacity: dict[str, int]) -> None:
        """Take away what would need a death that the broker did not count."""
        for name, decision in self.decisions.items():
            if not decision.options:
                continue
            left = tuple(option for option in decision.options if self._counted(option, capacity))
            option = left[0] if left else Option("lost", "unknown", decision.options[0].where)
            self.decisions[name] = Decision(option.fate, option=option, options=left)

    def _counted(self, option: Option, capacity: dict[str, int]) -> bool:
        ends = ("expired", "maxlen", "delivery_limit", "rejected")
        return option.proved or all(
            capacity.get(self.kind(queue, reason), 0) > 0 for queue, reason in option.deaths if reason in ends[:3]
        )

    def _proved(self, decision: Decision) -> bool:
        """Whether the history proves that it stood in the queue at that moment: nobody consumed from it at all, and nothing took it."""
        option = decision.option
        assert option is not None
        if any(each.fate == "lost" for each in decision.options):
            return False
        queue, reason = option.deaths[-1]
        consumed = any(each.queue == queue for each in self.oracle.records.consuming)
        return reason == "expired" and not consumed and len(option.deaths) == 1
