"""A scenario as it was understood: every default filled in, as plain values that YAML and JSON can hold."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from harness.masking import MASK, without_passwords
from harness.scenario.scenario import Scenario

_SECRET_KEY = re.compile(r"pass(word|wd|phrase)?|secret|token|credential|private", re.IGNORECASE)


def canonical(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario in its long form: defaults filled in, shorthands written out. Loaded again it is equal.

    The type of a queue is left out where `type` does not say it: arguments may.
    """
    return scenario.model_dump(mode="json", by_alias=True)


def resolve(scenario: Scenario, *, seed: int | None = None) -> dict[str, Any]:
    """Return what a run directory keeps: the long form with the seed that was used, and secrets masked.

    Secrets are values of `broker.config` whose key says so, and passwords in URLs in `broker.commands`.
    """
    resolved = canonical(scenario)
    if seed is not None:
        resolved["seed"] = seed
    for name, queue in scenario.queues.items():
        resolved["queues"][name] = {"type": queue.type} | resolved["queues"][name]
    broker = resolved["broker"]
    broker["config"] = {key: MASK if _SECRET_KEY.search(key) else value for key, value in broker["config"].items()}
    broker["commands"] = {key: without_passwords(value) for key, value in broker["commands"].items()}
    return resolved


def to_yaml(resolved: dict[str, Any]) -> str:
    """Write plain values as YAML 1.2 for people, in the order of the language."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - costs time that only the writing of a run directory need pay

    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(resolved, stream)
    return stream.getvalue()


def flat(resolved: object, path: str = "") -> dict[str, str]:
    """Return every single value of plain values by its path, as `setting_text` writes it: `publishers.0.messages`."""
    match resolved:
        case dict() if resolved:
            parts = [(str(key), value) for key, value in resolved.items()]
        case list() if resolved:
            parts = [(str(number), value) for number, value in enumerate(resolved)]
        case _:
            return {path: setting_text(resolved)}
    found: dict[str, str] = {}
    for name, value in parts:
        found |= flat(value, f"{path}.{name}" if path else name)
    return found


def masked_setting(path: str, value: object) -> str:
    """Write the value of a setting in one line, a secret one masked as in `resolve`."""
    if path.startswith("broker.config.") and _SECRET_KEY.search(path):
        return MASK
    text = setting_text(value)
    return without_passwords(text) if path.startswith("broker.commands") else text


def setting_text(value: object) -> str:
    """Write the value of a setting in one line: `false`, `3`, `automatic`, `[]`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
