"""Who has a broker of its own, and who one that another variant of the same command has used before: decided by what is asked for alone.

`chaos plan` says what the pool (`harness.broker.pool`) will do, so both go by this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.scenario.broker_config import config_text

if TYPE_CHECKING:
    from harness.broker.protocol import BrokerSettings
    from harness.scenario.scenario import BrokerModel, Scenario

_OF_ONE_VIRTUAL_HOST: Final = re.compile(
    r"default_(policies|limits|users)\b|(management\.)?load_definitions\b|definitions\.|.*vhost"
)
"""Keys of rabbitmq.conf that name virtual hosts, or bring some along: they mean the virtual host `/`, which a shared broker's users do not have."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a broker must have been made of to be used again."""

    backend: str
    """As it was asked for: auto is a backend of its own here."""
    image: str
    config: tuple[tuple[str, str], ...]
    plugins: frozenset[str]
    permit: frozenset[str]
    nodes: int

    @classmethod
    def of_settings(cls, backend: str, settings: BrokerSettings) -> Fit:
        """Return what the settings of a run need."""
        return cls(
            backend,
            settings.image,
            tuple(sorted(settings.config.items())),
            frozenset(settings.plugins),
            frozenset(settings.permit),
            settings.nodes,
        )

    @classmethod
    def of_model(cls, backend: str, broker: BrokerModel) -> Fit:
        """Return what a scenario needs."""
        return cls(
            backend,
            broker.image or "",
            tuple(sorted((key, config_text(value)) for key, value in broker.config.items())),
            frozenset(broker.plugins),
            frozenset(broker.permit),
            broker.nodes,
        )


def own_because(*, fresh: bool, config: Mapping[str, object]) -> str:
    """Say why a variant must have a broker of its own; empty if it need not."""
    if fresh:
        return "as broker.fresh asks for"
    named = next((key for key in config if _OF_ONE_VIRTUAL_HOST.match(key)), None)
    return "" if named is None else f"as {named} holds for virtual hosts by their names"


def ended_because(scenario: Scenario) -> str:
    """Say why nobody may have a variant's broker after it, by what its timeline does; empty if somebody may."""
    for number, step in enumerate(scenario.timeline, start=1):
        effects, named = step.action.effects(), f"step {number} ({step.action.title()})"
        if not effects.declared:
            return f"{named} does not declare what it does to a broker"
        if left := step.action.leaves_behind():
            return f"{named} {left}"
        if effects.strikes_node and scenario.broker.nodes > 1:
            return f"{named} strikes a node of a cluster"
    return ""


class Foreseen:
    """What the pool will do for one variant after the other, as long as every broker stays healthy."""

    def __init__(self, *, fresh: bool = False) -> None:
        """Begin without a broker. `fresh`: the command asks for a broker of its own for each variant."""
        self._fresh = fresh
        self._waiting: tuple[Fit, str] | None = None
        """The broker that waits for its next user, and who had it last."""

    def next(self, name: str, scenario: Scenario, backend: str) -> str:
        """Say which broker a variant gets, and what becomes of it."""
        if backend == "external":
            return "used as it is, and left alone"
        if backend == "compose":
            return "started for this variant alone and removed after it"
        alone = "booted for this variant alone and removed after it"
        if self._fresh:
            return f"{alone}, as --fresh asks for"
        if own := own_because(fresh=scenario.broker.fresh, config=scenario.broker.config):
            return f"{alone}, {own}"
        fit, waiting, ended = Fit.of_model(backend, scenario.broker), self._waiting, ended_because(scenario)
        self._waiting = None if ended else (fit, name)
        match waiting:
            case None:
                said = "booted for it"
            case (left, user) if left == fit:
                said = f"the one that {user} left, in a virtual host of its own"
            case (_, user):
                said = f"booted for it, as the one that {user} left has other settings"
        if ended:
            return f"{said}; removed after it, as {ended}"
        return f"{said}; used again by the next variant that asks for the same"
