"""The table of lies: which were told beside what, and what the verdicts said of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from harness.lies.findings import Became
from harness.lies.kinds.base import AsIf
from harness.lies.registry import lies
from harness.lies.scene import Beside
from harness.lies.telling import LieTold, RunOfLies
from harness.verdict.words import plural

_EXPLAINED = {
    AsIf.DELIVERED_AGAIN: "The connection of a worker was lost before its ack had surely arrived: then the broker delivers again",
    AsIf.IN_ORDER_AGAIN: "The connection of a worker was lost before the messages were done: then the broker delivers them again, in their order",
    AsIf.REMOVED: "The message may have been in the queue when it was purged",
}


def markdown(runs: Sequence[RunOfLies]) -> str:
    """Write a Markdown table: a row for each lie, a column for each fault beside, both clients and all queues together.

    A cell says how many were found of those that were told, how many were taken for what an honest broker does when the fault strikes, and
    how many were blamed on the fault.
    """
    beside = [each for each in Beside if any(run.beside is each for run in runs)]
    lines = [
        f"| lie | the verdict says | {' | '.join(beside)} |",
        f"|---|---|{'---|' * len(beside)}",
        *(f"| {name} | {_finds(name)} | {_cells(beside, runs, name)} |" for name in _told(runs)),
        f"| said of messages that nobody lied about | nothing | {_each(beside, runs, _invented)} |",
    ]
    if any(not run.lies for run in runs):
        lines.append(f"| no lies | as expected | {_each(beside, runs, _honest)} |")
    return "\n".join([*lines, *_justified(runs)]) + "\n"


def _justified(runs: Sequence[RunOfLies]) -> Iterator[str]:
    """Say why lies were explained, and how often honest runs leave the same."""
    for as_if, why in _EXPLAINED.items():
        told = [each for run in runs if run.beside in as_if.beside for each in run.lies]
        if any(lies()[each.lie].as_if is as_if and each.those(Became.EXPLAINED) for each in told):
            honest = [run for run in runs if not run.lies and run.beside in as_if.beside]
            count = sum(run.as_if[as_if] for run in honest)
            same = f"; without lies, that happened to {count} copies" if honest else ""
            yield f"\nExplained beside a {_either(as_if.beside)}: told while it struck. {why}{same}."


def _either(beside: Collection[Beside]) -> str:
    *others, last = (each for each in Beside if each in beside)
    return f"{', '.join(others)} or {last}" if others else str(last)


def described(run: RunOfLies) -> Iterator[str]:
    """Describe a run: a line of counts, and one for each kind of lie that the verdict is wrong about."""
    what = f"lies found: {_counted(run.lies)}" if run.lies else "no lies"
    yield f"{run.scene}, {run.beside}, client {run.client}, RabbitMQ {run.rabbitmq}: {what}; the verdict is {run.outcome}"
    for each in run.lies:
        if not each.findings:
            yield f"  not told    {each.lie}: no message suited it"
        for sign, wrong in (("missed", each.those(Became.MISSED)), ("blamed", each.blamed)):
            if wrong:
                yield f"  {sign:11} {each.lie}: {_listed([str(one) for one in wrong])}"
    if run.invented:
        yield f"  invented    {_listed(run.invented)}"
    if not run.right:
        yield f"  the run is in {run.directory}"


def closing(runs: Sequence[RunOfLies]) -> str:
    """Say in a sentence whether the verdicts were right."""
    wrong = [run for run in runs if not run.right]
    if wrong:
        return f"{len(wrong)} of {plural(len(runs), 'verdict')} {'is' if len(wrong) == 1 else 'are'} wrong: see above"
    told = sum(len(each.findings) for run in runs for each in run.lies)
    return f"Right: each of {plural(told, 'lie')} was found, or is what an honest broker may leave there, and nothing else was said."


def as_json(runs: Sequence[RunOfLies], *, seed: int) -> dict[str, object]:
    """Return all of it as JSON takes it."""
    return {"seed": seed, "right": all(run.right for run in runs), "runs": [_run(run) for run in runs]}


def _run(run: RunOfLies) -> dict[str, object]:
    return {
        "scene": run.scene,
        "beside": run.beside,
        "client": run.client,
        "rabbitmq": run.rabbitmq,
        "outcome": run.outcome,
        "headline": run.headline,
        "directory": str(run.directory),
        "right": run.right,
        "invented": list(run.invented),
        "lies": [_lie(each) for each in run.lies],
    }


def _lie(told: LieTold) -> dict[str, object]:
    return {
        "lie": told.lie,
        "must_say": _finds(told.lie),
        "told": len(told.findings),
        "found": len(told.those(Became.FOUND)),
        "explained": len(told.those(Became.EXPLAINED)),
        "missed": [str(each) for each in told.those(Became.MISSED)],
        "blamed": [str(each) for each in told.blamed],
        "messages": [
            {"message": each.message, "queue": each.queue, "said": list(each.said), "became": each.became}
            for each in told.findings
        ],
    }


def _told(runs: Sequence[RunOfLies]) -> list[str]:
    present = {each.lie for run in runs for each in run.lies}
    return [name for name in lies() if name in present]


def _finds(name: str) -> str:
    lie = lies()[name]
    return " or ".join([" and ".join(sorted(lie.finds)), *sorted(lie.or_find)])


def _cells(beside: Sequence[Beside], runs: Sequence[RunOfLies], name: str) -> str:
    def cell(together: Sequence[RunOfLies]) -> str:
        mine = [each for run in together for each in run.lies if each.lie == name]
        blamed = sum(len(each.blamed) for each in mine)
        return _counted(mine) + (f", {blamed} blamed" if blamed else "") if mine else ""

    return _each(beside, runs, cell)


def _each(beside: Sequence[Beside], runs: Sequence[RunOfLies], cell: Callable[[Sequence[RunOfLies]], str]) -> str:
    return " | ".join(cell([run for run in runs if run.beside is each]) for each in beside)


def _invented(runs: Sequence[RunOfLies]) -> str:
    return str(sum(len(run.invented) for run in runs if run.lies))


def _honest(runs: Sequence[RunOfLies]) -> str:
    honest = [run for run in runs if not run.lies]
    return f"{sum(run.right for run in honest)} of {len(honest)}" if honest else ""


def _counted(kinds: Sequence[LieTold]) -> str:
    told, explained = (
        sum(len(each.findings) for each in kinds),
        sum(len(each.those(Became.EXPLAINED)) for each in kinds),
    )
    found = f"{sum(len(each.those(Became.FOUND)) for each in kinds)} of {told}"
    return f"{found}, {explained} explained" if explained else found


def _listed(words: Sequence[str], most: int = 5) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
