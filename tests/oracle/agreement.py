"""Holds what the oracle says against what really happened."""

from __future__ import annotations

from tests.oracle.duplicates import Reason
from tests.oracle.lives import Name
from tests.oracle.oracle import Decision, Oracle
from tests.oracle.simulator.run import Simulation
from tests.oracle.simulator.truth import Copy, CopyTruth


def name_of(copy: Copy) -> Name:
    return Name(copy.key, copy.first, copy.branches)


def differences(simulation: Simulation, oracle: Oracle) -> list[str]:
    """What the oracle says that is not so; a sentence each. Nothing lost may be missed, nothing honest called lost."""
    found: list[str] = []
    truth = {name_of(copy): each for copy, each in simulation.truth.copies.items()}
    promised = {key: any(each.promised for each in publishes) for key, publishes in oracle.records.publishes.items()}
    for name, decision in oracle.decisions.items():
        real = truth.get(name)
        if real is None:
            real = _nothing(name)
        fates = real.fates(promised=promised[name.key])
        if "branched" in fates:  # nobody saw its branches: they are one copy for whoever reads the history
            fates = _of_branches(name, truth, promised=promised[name.key])
        said = decision.fate if decision.fate not in ("recovered", "resurrected") else "done"
        if said in fates or (not decision.sure and decision.others & fates):
            continue
        unknown = decision.option is not None and decision.option.place == "unknown"
        if unknown and oracle.topology.last is None and simulation.plan.broker.policies:
            continue  # nobody could ask the broker: what a policy took has no cause that can be known
        if "taken" in (said, *decision.others) and "foreign" in fates:
            continue
        found.append(f"{name}: said {describe(decision)}, and it was {' or '.join(sorted(fates))} ({_ends(real)})")
    for name, real in truth.items():
        returned = not real.instances and Name(name.key, "") in oracle.decisions
        if (
            name not in oracle.decisions
            and not unseen(real.copy, oracle)
            and not returned
            and not real.branched
            and real.fates(promised=True) != {"lost"}
        ):
            found.append(
                f"{name}: not known, and it was {' or '.join(sorted(real.fates(promised=True)))} ({_ends(real)})"
            )
    for twice in oracle.duplicates.all():
        if twice.reason is Reason.NONE:
            found.append(f"{twice.life.name}: done twice without a reason, by {twice.delivery.session}")
    found += [f"{each.key}: acknowledged and still in {each.queue}" for each in oracle.duplicates.still_there()]
    found += [f"{key}: came to {queue}" for key, queue in oracle.lives.misrouted]
    return found


def unseen(copy: Copy, oracle: Oracle) -> bool:
    """Whether the death that a copy began with is in no record: neither it nor a sibling of it was seen."""
    trunks = (Name(copy.key, copy.first, copy.branches[:depth]) for depth in range(len(copy.branches)))
    return name_of(copy) not in oracle.decisions and any(trunk in oracle.decisions for trunk in trunks)


def taken_for_branched(oracle: Oracle) -> set[Name]:
    """Copies that are not counted, as their branches are: their workers rejected them, and the broker may never have heard of that."""
    found: set[Name] = set()
    for name in oracle.decisions:
        trunk = name
        while trunk.branches and (trunk := trunk._replace(branches=trunk.branches[:-1])) not in found:
            found.add(trunk)
    return found - set(oracle.decisions)


def _of_branches(name: Name, truth: dict[Name, CopyTruth], *, promised: bool) -> frozenset[str]:
    """What may be said of a copy that branched: what became of any of its branches."""
    below = [
        each
        for other, each in truth.items()
        if (other.key, other.first) == name[:2] and other.branches[: len(name.branches)] == name.branches
    ]
    fates = {fate for each in below for fate in each.fates(promised=promised)} - {"branched"}
    return frozenset(fates or {"lost"})


def describe(decision: Decision) -> str:
    others = f" (or {', '.join(sorted(decision.others))})" if decision.others else ""
    way = ""
    if decision.option is not None:
        option = decision.option
        way = f" at {option.place} {option.where}" + (f" by fault {option.fault}" if option.fault is not None else "")
        way += "".join(f", {reason} in {queue}" for queue, reason in option.deaths)
    return f"{decision.fate}{others}{way}"


def _nothing(name: Name) -> CopyTruth:
    return CopyTruth(Copy(*name.key, name.first, name.branches))


def _ends(real: CopyTruth) -> str:
    ends = [f"{each.end or 'no end'} in {each.end_queue or each.queue}" for each in real.instances]
    return ", ".join(ends) or "it never came to the broker"
