"""Whether a scenario itself has a setting that would have kept a copy, so that a control which changes it takes something away.

A control may change a setting from one value that keeps nothing to another: of a loss at a worker, acknowledgements that are sent early are
as good as automatic ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from harness.checks.rules.of_groups import IN_FORCE
from harness.scenario.queue_policy import EffectivePolicy, effective_policy
from harness.scenario.scenario import Scenario
from harness.scenario.setting_paths import SettingPath, setting_path
from harness.scenario.topology import Queue

_LIMITS: Final[Mapping[str, Callable[[EffectivePolicy, str], float | None]]] = {
    "max_length": lambda policy, _: policy.max_length,
    "max_length_bytes": lambda policy, _: policy.max_length_bytes,
    "message_ttl": lambda policy, _: policy.message_ttl_s,
    "expires": lambda policy, _: policy.expires_s,
    "delivery_limit": lambda policy, rabbitmq: policy.most_redeliveries(rabbitmq),
}
"""By key of a queue, what is in force; None for no limit."""


class HadBefore:
    """Compares what a control makes of a scenario with the scenario."""

    def __init__(self, before: Scenario, made: Scenario, rabbitmq: str) -> None:
        """`before` is the scenario, and `made` what the control makes of it."""
        self._before, self._made, self._rabbitmq = before, made, rabbitmq

    def has(self, path: str, groups: Mapping[str, str | None]) -> bool:
        """Whether the scenario's own value of a setting would have kept the copy. True as well if that cannot be decided.

        `groups` names the group that is meant, by section, where the path leaves it open.
        """
        setting = setting_path(path, self._made)
        match setting.section:
            case "publishers" | "workers" if len(setting.setting) == 1:
                return self._has_group(setting, groups.get(setting.section))
            case "queues" if setting.member in self._before.queues and setting.member in self._made.queues:
                return self._has_queue(setting, path)
            case "exchanges" if setting.setting == ("durable",) and setting.member in self._before.exchanges:
                return self._before.exchanges[setting.member].durable
            case "settle":
                return self._before.settle_s > self._made.settle_s
            case _:
                return True

    def _has_group(self, setting: SettingPath, name: str | None) -> bool:
        in_force = IN_FORCE.get((setting.section, setting.setting[0]))
        every: Iterable[Any] = self._before.publishers if setting.section == "publishers" else self._before.workers
        named = [group for group in every if group.name == (setting.member or name)]
        return in_force is None or any(map(in_force, named or every))

    def _has_queue(self, setting: SettingPath, path: str) -> bool:
        assert setting.member is not None  # noqa: S101 - it is among the queues
        queue, made = self._before.queues[setting.member], self._made.queues[setting.member]
        policy, changed = effective_policy(queue), effective_policy(made)
        key = setting.setting[0] if setting.setting else ""
        if key in _LIMITS:
            return _is_looser(_LIMITS[key](policy, self._rabbitmq), _LIMITS[key](changed, self._rabbitmq))
        if path.endswith("x-dead-letter-strategy"):
            return policy.dead_letter_strategy == "at-least-once"
        has = {
            "durable": _lasts(queue),
            "type": queue.type == "quorum",
            "overflow": policy.refuses_when_full,
            "dead_letter": policy.has_dead_letter_target and _target(policy) != _target(changed),
        }
        return has.get(key, True)


def _lasts(queue: Queue) -> bool:
    return queue.durable or queue.type == "quorum"


def _target(policy: EffectivePolicy) -> tuple[str | None, str | None]:
    return policy.dead_letter_exchange, policy.dead_letter_routing_key


def _is_looser(limit: float | None, than: float | None) -> bool:
    return than is not None and (limit is None or limit > than)
