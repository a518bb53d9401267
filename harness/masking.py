"""Passwords kept out of what people and files get to see."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
# Up to the last @ before a space: a password may hold one, and too much masked is better than too little.
_IN_URL: Final = re.compile(r"(://[^/\s:@]*):\S*@")
_IN_ADDRESS: Final = re.compile(r"\A([^:/@]*://[^:/@]*|(?![^:/@]*://)[^:/@]*):.*@", re.DOTALL)


def without_passwords(text: str) -> str:
    """Return a text with the passwords of the URLs in it masked."""
    return _IN_URL.sub(rf"\1:{MASK}@", text)


def masked_address(address: str) -> str:
    """Return an address with its password masked. It is an address and nothing else, so its password may hold anything."""
    return _IN_ADDRESS.sub(rf"\1:{MASK}@", address)
