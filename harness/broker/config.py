"""Rendering a broker's configuration files; the same for every backend that starts its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.errors import BrokerError

_KEY = re.compile(r"^[a-z0-9_$.\-]+$", re.IGNORECASE)


def render(config: Mapping[str, object], *, listener: str, cluster: Sequence[str] = ()) -> str:
    """Render rabbitmq.conf: the one AMQP listener, guest allowed from outside a container, then what the scenario says.

    `listener` is like `127.0.0.1:20001`, or a port alone inside a container. `cluster` names the nodes that form it.
    Raises BrokerError for a key or value that would break out of its line.
    """
    lines = {
        "listeners.tcp.1": listener,
        "loopback_users": "none",
        "log.console": "true",
        "log.console.level": "info",
    }
    if len(cluster) > 1:
        lines["cluster_formation.peer_discovery_backend"] = "classic_config"
        lines |= {f"cluster_formation.classic_config.nodes.{index}": node for index, node in enumerate(cluster, 1)}
    for key, value in config.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not _KEY.match(key) or "\n" in text or "\r" in text:
            raise BrokerError(f"broker.config: {key!r} with value {text!r} cannot be a line of rabbitmq.conf")
        lines[key] = text
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def render_advanced(permit: Sequence[str]) -> str:
    """Render advanced.config: deprecated features to permit, in a form that versions which know none of them ignore."""
    for feature in permit:
        if not re.fullmatch(r"[a-z_]+", feature):
            raise BrokerError(f"broker.permit: {feature!r} is no name of a deprecated feature")
    permitted = ", ".join(f"{feature} => true" for feature in permit)
    return f"[{{rabbit, [{{permit_deprecated_features, #{{{permitted}}}}}]}}].\n"


def render_plugins(plugins: Sequence[str]) -> str:
    """Render the file that lists the enabled plugins."""
    for plugin in plugins:
        if not re.fullmatch(r"[a-z0-9_]+", plugin):
            raise BrokerError(f"broker.plugins: {plugin!r} is no name of a plugin")
    return f"[{','.join(plugins)}].\n"
