"""The address of a Dask scheduler, as people write it."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from harness.errors import UsageError

_ADDRESS: Final = re.compile(r"(?:tcp|tls)://(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):([0-9]{1,5})")


def check(text: str) -> None:
    """Raise UsageError for what cannot be the address of a scheduler."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535 or not _is_ipv6(found[1]):
        raise UsageError(
            f"--scheduler {text!r} is no address of a Dask scheduler, such as tcp://HOST:8786 (a port is a number from 1 to 65535)"
        )


def _is_ipv6(text: str | None) -> bool:
    """Whether what stands in brackets, if anything does, is an IPv6 address."""
    try:
        return text is None or bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False
