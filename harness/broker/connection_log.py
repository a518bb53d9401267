"""Which clients that are not the run's a broker's own log names: those that came and went between two looks at it, too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.broker.ready import CLIENT_NAME
from harness.errors import BrokerError

_ENTERED = re.compile(
    r"^(?P<stamp>\S+ \S+)?.*?onnection (?:from )?(?P<who>.*): user '.*' authenticated and granted access to vhost '(?P<vhost>[^']*)'"
)
"""What every version from 3.8 to 4.3 writes, at the level info, once a client has entered a virtual host."""
_CLIENT = re.compile(r"(?:<[\d.]+> \()?(?P<ends>\S+ -> \S+?)(?: - (?P<name>.*?))?\)?$")


def others(logs: Mapping[str, str], *, mark: str, virtual_host: str) -> tuple[str, ...]:
    """Return who else entered a virtual host once the run (whose clients' names begin with `mark`) had: names, else addresses of both ends.

    Logs are by node. Raises BrokerError if none of them names a client of the run: then they say nothing of others, either.
    """
    entries = {node: list(_entries(text, virtual_host)) for node, text in logs.items()}
    own = [stamp for found in entries.values() for stamp, client in found if _is_of(client, mark)]
    if not own:
        raise BrokerError("the broker's log does not name the clients that connect")
    since = min(own)
    strangers = {
        client
        for found in entries.values()
        for stamp, client in found
        if stamp >= since and client != CLIENT_NAME and not _is_of(client, mark)
    }
    return tuple(sorted(strangers))


def _is_of(client: str, mark: str) -> bool:
    return client == mark or client.startswith(f"{mark}/")


def _entries(text: str, virtual_host: str) -> Iterator[tuple[str, str]]:
    """Yield when each client entered, as the log writes it (nodes of one version write it alike), and its name, else its addresses."""
    for line in text.splitlines():
        entered = _ENTERED.search(line)
        if entered is None or entered["vhost"] != virtual_host:
            continue
        client = _CLIENT.match(entered["who"])
        yield entered["stamp"] or "", entered["who"] if client is None else client["name"] or client["ends"]
