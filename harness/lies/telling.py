"""Runs of lies on a real broker, and what their verdicts say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from harness.broker.making import MakeBroker
from harness.engine.run import run
from harness.events import Event, FaultHealed, FaultInjected
from harness.faults.registry import actions
from harness.lies.findings import Became, Finding, Findings, Strike, compare, left_as_if
from harness.lies.kinds.base import AsIf
from harness.lies.links import LiarLinks, told_path
from harness.lies.orders import draw_orders
from harness.lies.registry import lies
from harness.lies.scene import Beside, Scene, scenario
from harness.lies.told import read_told
from harness.scenario.load import Loaded, load_text
from harness.scenario.scenario import GUARANTEE
from harness.traffic.client_name import ClientName
from harness.verdict.data import Outcome

FOLDER: Final = "selftest"
"""Of the runs, in the folder of the reports."""


@dataclass(frozen=True, slots=True)
class LieTold:
    """A kind of lie in one run."""

    lie: str
    findings: tuple[Finding, ...]

    def those(self, became: Became) -> tuple[Finding, ...]:
        """Return those that became something."""
        return tuple(each for each in self.findings if each.became is became)

    @property
    def blamed(self) -> tuple[Finding, ...]:
        """Those that it says something else has done."""
        return tuple(each for each in self.findings if each.blamed)

    @property
    def right(self) -> bool:
        """Whether it was told, none is missed, and none is blamed on anything else."""
        return bool(self.findings) and not self.those(Became.MISSED) and not self.blamed


@dataclass(frozen=True, slots=True)
class RunOfLies:
    """A run in which lies were told (or none, for comparison), and what its verdict says."""

    scene: str
    beside: Beside
    client: ClientName
    rabbitmq: str
    outcome: Outcome
    headline: str
    directory: Path
    lies: tuple[LieTold, ...]
    invented: tuple[str, ...]
    """What the verdict says of messages that nobody lied about."""
    as_if: Mapping[AsIf, int] = field(default_factory=dict)
    """What an honest broker leaves as well that some lies leave, in copies."""

    @property
    def right(self) -> bool:
        """Whether the verdict says of each lie what it must, and nothing else."""
        wanted = Outcome.VIOLATED if self.lies else Outcome.AS_EXPECTED
        return self.outcome is wanted and not self.invented and all(each.right for each in self.lies)


def tell(
    scene: Scene,
    beside: Beside,
    client: ClientName,
    *,
    names: Collection[str],
    seed: int,
    make_broker: MakeBroker,
    reports: Path,
    image: str = "",
) -> RunOfLies:
    """Run a scene, tell those of the named lies that fit it, and compare. Raises InfrastructureError where the run failed."""
    loaded = load(scene, beside, client)
    orders = draw_orders(scene, beside, names, Random(f"{seed}/{scene.name}/{beside}/{client}"))  # noqa: S311 - reproducible on purpose
    result = run(
        loaded,
        reports=reports / FOLDER,
        seed=seed,
        make_broker=make_broker,
        make_links=partial(LiarLinks, scene=scene, orders=orders),
        image=image,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    (verdict,) = result.verdict.variants
    told = read_told(told_path(result.directory.variant(GUARANTEE)))
    findings = compare(told, verdict, scene, _strike(result.histories[GUARANTEE].events, beside))
    return RunOfLies(
        scene=scene.name,
        beside=beside,
        client=client,
        rabbitmq=verdict.rabbitmq,
        outcome=verdict.outcome,
        headline=verdict.headline,
        directory=result.directory.path,
        lies=tuple(_by_kind(findings, {order.lie for order in orders})),
        invented=findings.invented,
        as_if=left_as_if(verdict.counts),
    )


def load(scene: Scene, beside: Beside, client: ClientName) -> Loaded:
    """Load the scenario of a run."""
    return load_text(scenario(scene, beside), Path(f"{scene.name}.yaml"), actions()).with_client(client)


def _strike(events: Sequence[Event], beside: Beside) -> Strike | None:
    """Find when the fault struck; None where there is none."""
    for event in events:
        if isinstance(event, FaultInjected):
            healed = [each.at_ns for each in events if isinstance(each, FaultHealed)]
            over_ns = max([event.struck_at_ns, *healed])
            cut = frozenset(event.targets) if beside is Beside.WORKER_KILL else None
            return Strike(event.at_ns, over_ns, cut)
    return None


def _by_kind(findings: Findings, ordered: Collection[str]) -> Iterator[LieTold]:
    for name in lies():
        if name in ordered:
            yield LieTold(name, tuple(each for each in findings.lies if each.lie == name))
