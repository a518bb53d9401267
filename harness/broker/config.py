"""Rendering a broker's configuration files; the same for every backend that starts its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import BrokerError
from harness.scenario.broker_config import config_fault, config_text, permit_fault, plugin_fault

_MANAGEMENT, _MQTT, _STOMP, _STREAM = (
    "management.tcp",
    "mqtt.listeners.tcp",
    "stomp.listeners.tcp",
    "stream.listeners.tcp",
)
PLUGIN_LISTENERS: Mapping[str, tuple[str, ...]] = {
    "rabbitmq_federation_management": (_MANAGEMENT,),
    "rabbitmq_management": (_MANAGEMENT,),
    "rabbitmq_mqtt": (_MQTT,),
    "rabbitmq_prometheus": ("prometheus.tcp",),
    "rabbitmq_shovel_management": (_MANAGEMENT,),
    "rabbitmq_stomp": (_STOMP,),
    "rabbitmq_stream": (_STREAM,),
    "rabbitmq_stream_management": (_STREAM, _MANAGEMENT),
    "rabbitmq_top": (_MANAGEMENT,),
    "rabbitmq_tracing": (_MANAGEMENT,),
    "rabbitmq_web_mqtt": ("web_mqtt.tcp", _MQTT),
    "rabbitmq_web_stomp": ("web_stomp.tcp", _STOMP),
}
"""The listeners that a plugin opens, its own and those of the plugins it brings along; each by its part of rabbitmq.conf."""


def render(
    config: Mapping[str, object],
    *,
    listener: str,
    cluster: Sequence[str] = (),
    plugin_listeners: Mapping[str, tuple[str, int]] | None = None,
) -> str:
    """Render rabbitmq.conf: the one AMQP listener, guest allowed from outside a container, then what the scenario says.

    `listener` is like `127.0.0.1:20001`, or a port alone inside a container. `cluster` names the nodes that form it.
    `plugin_listeners` gives parts of PLUGIN_LISTENERS their address and port; without it they take RabbitMQ's well-known ones.
    Raises BrokerError for a key or value that would break out of its line, and for keys that are the harness's own.
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
    for part, (address, port) in (plugin_listeners or {}).items():
        if part.endswith(".listeners.tcp"):
            lines[f"{part}.1"] = f"{address}:{port}"
        else:
            lines |= {f"{part}.ip": address, f"{part}.port": str(port)}
    for key, value in config.items():
        if (fault := config_fault(key, value)) is not None:
            raise BrokerError(f"broker.config: {key} {fault}")
        lines[key] = config_text(value)
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def render_advanced(permit: Sequence[str], *, cluster: Sequence[str] = ()) -> str:
    """Render advanced.config: what only some versions know, in a form that the others ignore.

    That is deprecated features to permit, and for a `cluster` no wait: before 3.10 newborn nodes wait for up to a minute,
    drawn by chance, so as not to meet.
    """
    for feature in permit:
        if (fault := permit_fault(feature)) is not None:
            raise BrokerError(f"broker.permit: {fault}; correct it")
    permitted = ", ".join(f"{feature} => true" for feature in permit)
    settings = [f"{{permit_deprecated_features, #{{{permitted}}}}}"]
    if len(cluster) > 1:
        # The whole of it: this file takes the place of what rabbitmq.conf says under the same name.
        settings.append(
            "{cluster_formation, [{peer_discovery_backend, rabbit_peer_discovery_classic_config}, "
            "{randomized_startup_delay_range, {0, 2}}]}"
        )
    return f"[{{rabbit, [{', '.join(settings)}]}}].\n"


def render_plugins(plugins: Sequence[str]) -> str:
    """Render the file that lists the enabled plugins."""
    for plugin in plugins:
        if (fault := plugin_fault(plugin)) is not None:
            raise BrokerError(f"broker.plugins: {fault}; correct it")
    return f"[{','.join(plugins)}].\n"
