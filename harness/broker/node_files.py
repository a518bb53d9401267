"""The files that configure a node in a container, as the archives that the engine takes: no path of this machine is mounted."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.broker import config
from harness.broker.protocol import BrokerSettings

AMQP_PORT = 5672
CONFIGURATION = "/etc/rabbitmq"
"""Where the archive of `configuration` is unpacked."""
DATA = "/var/lib/rabbitmq"
_MANAGEMENT = "rabbitmq_management"


@dataclass(frozen=True, slots=True)
class File:
    """A text file and who may read it."""

    text: str
    mode: int = 0o644


def configuration(settings: BrokerSettings, peers: Sequence[str] = ()) -> bytes:
    """Return what a scenario asks of a node: a part of rabbitmq.conf, permissions, plugins. `peers` are the nodes to join, with itself."""
    files = {"conf.d/90-chaos.conf": File(config.render(settings.config, listener=str(AMQP_PORT), cluster=peers))}
    if settings.permit:
        files["advanced.config"] = File(config.render_advanced(settings.permit))
    if settings.plugins:
        files["enabled_plugins"] = File(config.render_plugins([_MANAGEMENT, *settings.plugins]))
    return archive(files)


def archive(files: Mapping[str, File], *, uid: int = 0, gid: int = 0) -> bytes:
    """Pack files into a tar archive, owned as said."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, file in files.items():
            data = file.text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(data), file.mode, uid, gid
            member.mtime = int(time.time())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
