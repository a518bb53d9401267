"""The checks against an oracle that is naive on purpose: dictionaries, one message at a time."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.judge import judge
from harness.checks.verdict import Fate
from harness.history.history import History
from harness.history.records import FOREIGN, Flag, Kind
from tests.unit.histories import Story, scenario

SEQS, PUBLISHERS, WORKERS = 8, 2, 2

step = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, SEQS - 1), st.integers(1, PUBLISHERS), st.integers(1, 2)),
    st.tuples(st.just("confirm"), st.integers(1, 6), st.integers(1, PUBLISHERS), st.integers(1, 4)),
    st.tuples(st.just("nack"), st.integers(1, 6), st.integers(1, PUBLISHERS), st.integers(1, 2)),
    st.tuples(st.just("return"), st.integers(0, SEQS - 1), st.integers(1, PUBLISHERS), st.integers(1, 2)),
    st.tuples(st.just("lost"), st.integers(0, 1), st.integers(1, 2), st.just(0)),
    st.tuples(st.just("deliver"), st.integers(0, SEQS), st.integers(1, WORKERS), st.integers(0, 7)),
    st.tuples(st.just("complete"), st.integers(0, 30), st.integers(1, WORKERS), st.just(0)),
    st.tuples(st.just("reject"), st.integers(0, 30), st.integers(1, WORKERS), st.integers(0, 1)),
    st.tuples(st.just("find"), st.integers(0, SEQS - 1), st.integers(1, PUBLISHERS), st.integers(0, 1)),
)


def tell(steps: list[tuple[str, int, int, int]], *, confirms: bool) -> Story:
    """Turn steps into a history; the attempt of a publish counts up by itself."""
    story = Story(queues=("tasks", "dead"))
    attempts: Counter[tuple[int, int]] = Counter()
    connections: Counter[tuple[str, int]] = Counter()
    open_: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for what, first, who, extra in steps:
        connection = connections["publisher", who] + 1
        match what:
            case "publish":
                attempts[who, first] += 1
                story.publish(first, by=who, attempt=attempts[who, first], confirms=confirms, connection=connection)
            case "confirm" | "nack":
                story.confirm(first, extra, by=who, connection=connection, nack=what == "nack")
            case "return":
                story.returned(first, by=who, attempt=extra)
            case "lost":
                role = ("publisher", "worker")[first]
                number = connections[role, who] + 1
                story.lose_connection(role, who, connection=number)
                connections[role, who] += 1
            case "deliver":
                of = FOREIGN if extra & 4 and first == SEQS else 1 + (extra & 1)
                number = connections["worker", who] + 1
                tag = story.deliver(
                    first, to=who, of=of, redelivered=bool(extra & 2), corrupt=extra == 7, connection=number
                )
                open_[who].append((first, of, tag, number))
            case "complete" if open_[who]:
                seq, of, tag, number = open_[who].pop(first % len(open_[who]))
                story.complete(seq, tag, to=who, of=of, connection=number)
            case "reject" if open_[who]:
                seq, of, tag, number = open_[who].pop(first % len(open_[who]))
                if number == 1:
                    story.reject(seq, tag, to=who, of=of, requeue=bool(extra))
            case "find":
                story.find(first, of=who, queue=extra)
    return story


class Oracle:
    """Counts by the definitions, one record after the other."""

    def __init__(self, history: History) -> None:
        self.published: dict[tuple[int, int], list[dict[str, bool]]] = defaultdict(list)
        self.completions: Counter[tuple[int, int]] = Counter()
        self.found: dict[tuple[int, int], int] = {}
        self.corrupt: set[tuple[int, int]] = set()
        excused: set[tuple[int, int]] = set()
        phantoms = 0
        for log in history.of_role("publisher"):
            tags: dict[tuple[int, int], dict[str, bool]] = {}
            for row in log.records:
                key = (log.header.number, int(row["seq"]))
                if row["kind"] == Kind.PUBLISHED:
                    publish = {"confirmable": bool(row["tag"]), "confirmed": False, "nacked": False, "returned": False}
                    publish["attempt"] = int(row["attempt"])  # type: ignore[assignment]
                    self.published[key].append(publish)
                    if row["tag"]:
                        tags[int(row["connection"]), int(row["tag"])] = publish
            for row in log.records:
                if row["kind"] in (Kind.CONFIRMED, Kind.NACKED):
                    word = "confirmed" if row["kind"] == Kind.CONFIRMED else "nacked"
                    for tag in range(int(row["tag"]), int(row["tag"]) + int(row["arg"])):
                        if (int(row["connection"]), tag) in tags:
                            tags[int(row["connection"]), tag][word] = True
                if row["kind"] == Kind.RETURNED:
                    for publish in self.published.get((log.header.number, int(row["seq"])), []):
                        if publish["attempt"] == row["attempt"]:
                            publish["returned"] = True
        last_event: dict[tuple[int, int], tuple[int, str]] = {}
        for log in history.of_role("worker"):
            delivered: dict[tuple[int, int], tuple[int, int]] = {}
            lost = {int(row["connection"]) for row in log.records if row["kind"] == Kind.CONNECTION_LOST}
            for row in log.records:
                place = (int(row["connection"]), int(row["tag"]))
                key = (int(row["publisher"]), int(row["seq"]))
                real = key in self.published
                if row["kind"] == Kind.DELIVERED:
                    delivered[place] = key
                    if real:
                        if int(row["flags"]) & Flag.REDELIVERED or place[0] in lost:
                            excused.add(key)
                        if int(row["flags"]) & Flag.CORRUPT:
                            self.corrupt.add(key)
                        if int(row["at_ns"]) > last_event.get(key, (0, ""))[0]:
                            last_event[key] = (int(row["at_ns"]), "delivered")
                            self._last = place
                    elif int(row["flags"]) & Flag.CORRUPT:
                        self.corrupt.add((-1, -1))
                elif row["kind"] == Kind.COMPLETED:
                    if real:
                        self.completions[key] += 1
                    else:
                        phantoms += 1
                elif row["kind"] == Kind.REJECTED and int(row["flags"]) & Flag.REQUEUE and real:
                    excused.add(key)
        for log in history.of_role("collector"):
            for row in log.records:
                key = (int(row["publisher"]), int(row["seq"]))
                if key in self.published:
                    self.found[key] = int(row["queue"])
                else:
                    phantoms += row["publisher"] not in {number for number, _ in self.published} or not self._known(key)
        self.phantom = phantoms
        self.duplicates = {key for key, count in self.completions.items() if count > 1}
        self.unexplained = {key for key in self.duplicates if key not in excused and len(self.published[key]) < 2}

    def _known(self, key: tuple[int, int]) -> bool:
        most = max((seq for number, seq in self.published if number == key[0]), default=-1)
        return key[1] <= most

    def fate(self, key: tuple[int, int]) -> Fate:
        publishes = self.published[key]
        promised = any(not each["returned"] and (each["confirmed"] or not each["confirmable"]) for each in publishes)
        refused = any(each["returned"] or each["nacked"] for each in publishes)
        if self.completions[key]:
            if promised:
                return Fate.PROCESSED
            return Fate.RESURRECTED if refused else Fate.RECOVERED
        if key in self.found:
            return Fate.DEAD_LETTERED if self.found[key] == 1 else Fate.STRANDED
        return Fate.LOST if promised else Fate.NEVER_PROMISED


@settings(max_examples=1500, deadline=None)
@given(st.lists(step, max_size=60), st.booleans())
def test_the_judge_agrees_with_the_oracle(steps: list[tuple[str, int, int, int]], confirms: bool) -> None:
    history = tell(steps, confirms=confirms).history()
    wanted = scenario(queues={"tasks": {"dead_letter": "dead"}, "dead": {}}, publishers={"count": 2, "messages": 9})
    verdict = judge(history, wanted, name="x")
    oracle = Oracle(history)
    expected = Counter(oracle.fate(key) for key in oracle.published)
    assert {fate: count for fate, count in verdict.counts.fates.items() if count} == dict(expected)
    assert verdict.counts.published == len(oracle.published)
    assert sum(verdict.counts.fates.values()) == verdict.counts.published
    assert verdict.counts.duplicates == len(oracle.duplicates)
    assert verdict.counts.unexplained_duplicates == len(oracle.unexplained)
    assert verdict.counts.phantom == oracle.phantom
    assert verdict.counts.corrupt == len(oracle.corrupt)
    assert sum(cause.count for cause in verdict.causes) == verdict.counts.fates[Fate.LOST]
