"""What of a scenario's `broker` cannot be written into a broker's configuration files: found before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from harness.scenario.mistake import Mistake, Path, shown
from harness.scenario.scenario import BrokerModel

_KEY: Final = re.compile(r"[a-z0-9_$.\-]+", re.IGNORECASE)
_LISTENER: Final = re.compile(r"(.*\.)?listeners?\.|.*\.(tcp|ssl)\.(ip|port)$")
_OWN: Final = re.compile(r"cluster_formation\b|loopback_users\b|log\.console$|default_(user|pass|vhost|permissions)\b")
_LONGEST_VALUE: Final = 10_000
_PART: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_IMAGE: Final = re.compile(
    rf"(?:{_REGISTRY}/)?(?P<name>{_PART}(?:/{_PART})*)(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}})?"
    r"(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?"
)
"""As Docker names images: [registry/]repository[:tag][@digest]. Held against what `docker tag` takes."""
_LONGEST_NAME: Final = 255
_LONGEST_IMAGE: Final = 1000


def config_fault(key: str, value: object) -> str | None:
    """Say what is wrong with a line of rabbitmq.conf, without the value, which may be a secret; None where nothing is.

    It may not break out of its line, nor set what the harness sets itself: a broker that listens elsewhere, or lets another user in, is one
    that the harness cannot reach.
    """
    text = config_text(value)
    one_line = "#" not in text and text.splitlines() == [text] and bool(text.strip()) and len(text) <= _LONGEST_VALUE
    if not _KEY.fullmatch(key) or not one_line:
        return "cannot be a line of rabbitmq.conf: one line, and no #"
    if _LISTENER.match(key):
        return "is chosen by the harness, which gives every broker ports of its own; leave it out"
    if _OWN.match(key):
        return "is chosen by the harness, which must reach the broker; leave it out"
    return None


def config_text(value: object) -> str:
    """Write a value as rabbitmq.conf has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def permit_fault(feature: str) -> str | None:
    """Say what is wrong with the name of a deprecated feature; None where nothing is."""
    return None if re.fullmatch(r"[a-z_]+", feature) else f"{shown(feature)} is not the name of a deprecated feature"


def plugin_fault(plugin: str) -> str | None:
    """Say what is wrong with the name of a plugin; None where nothing is."""
    return None if re.fullmatch(r"[a-z0-9_]+", plugin) else f"{shown(plugin)} is not the name of a plugin"


def image_fault(image: str) -> str | None:
    """Say what is wrong with the name of an image; None where nothing is."""
    found = _IMAGE.fullmatch(image) if len(image) <= _LONGEST_IMAGE else None
    if found is not None and len(found["name"]) <= _LONGEST_NAME:
        return None
    return (
        f"{shown(image)} is not the name of an image; write repository:tag in small letters, e.g. rabbitmq:4-management"
    )


def config_mistakes(broker: BrokerModel) -> Iterator[Mistake]:
    """Find what cannot be written."""
    at: Path = ("broker",)
    if broker.image is not None and (fault := image_fault(broker.image)) is not None:
        yield Mistake((*at, "image"), fault)
    for key, value in broker.config.items():
        if (fault := config_fault(key, value)) is not None:
            yield Mistake((*at, "config", key), fault, about_key=True)
    for index, feature in enumerate(broker.permit):
        if (fault := permit_fault(feature)) is not None:
            yield Mistake((*at, "permit", index), fault)
    for index, plugin in enumerate(broker.plugins):
        if (fault := plugin_fault(plugin)) is not None:
            yield Mistake((*at, "plugins", index), fault)
