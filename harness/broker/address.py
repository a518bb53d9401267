"""Addresses of brokers, as people write them: read strictly, so that a mistake is found before anything is started."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import unquote, urlsplit

from harness.broker.protocol import Endpoint
from harness.errors import UsageError

LONGEST_NAME: Final = 255
"""Bytes of a user's name, a password or a virtual host's name, as AMQP counts them."""
_FORM: Final = "it must look like amqp://user:password@host:5672/virtual-host, with %-escapes for :/?#@ inside a name"
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_LONGEST_HOST: Final = 253


def parse_url(url: str, option: str = "--broker") -> Endpoint:
    """Read an AMQP URL, which `option` gave. Raises UsageError, which repeats nothing of it: any part of it may be a password."""
    try:
        return _read(url)
    except _WrongError as wrong:
        raise UsageError(f"{option}: the broker's address {wrong}; {_FORM}") from None


class _WrongError(ValueError):
    """What is wrong with an address, after "the broker's address"."""


def _read(url: str) -> Endpoint:
    if any(not character.isprintable() or character == " " for character in url):
        raise _WrongError("holds a space or a control character")
    if not url.startswith(("amqp://", "amqps://")):
        raise _WrongError("does not begin with amqp:// or amqps://")
    if _BAD_ESCAPE.search(url):
        raise _WrongError("has a % that no two hexadecimal digits follow (write %25 for a % itself)")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        # The parser's own message repeats what it could not read, and that may be the password.
        raise _WrongError("cannot be taken apart") from None
    if "#" in url:
        raise _WrongError("has a # (write %23 for one in a name)")
    if "?" in url:
        raise _WrongError("has a ? (parameters after it are not known here; write %3F for one in a name)")
    if "@" in parts.path:
        raise _WrongError("has a / before the host (write %2F for one in the user or password)")
    tls = parts.scheme == "amqps"
    port = _port(parts.netloc, tls=tls)
    return Endpoint(
        host=_host(host),
        port=port,
        username=_name("user", parts.username) or "guest",
        password=_name("password", parts.password) or "guest",
        virtual_host=_name("virtual host", parts.path[1:]) or "/",
        tls=tls,
    )


def _port(netloc: str, *, tls: bool) -> int:
    after = netloc.rpartition("@")[2]
    _, colon, text = after.rpartition("]") if after.startswith("[") else after.partition(":")
    if colon == "]" and text:
        colon, text = text[0], text[1:]
    if not text and colon in ("", ":", "]"):
        return 5671 if tls else 5672
    if colon != ":":
        text = ""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise _WrongError("has a port that is not a number from 1 to 65535 (an IPv6 address stands in [brackets])")
    return int(text)


def _host(host: str) -> str:
    if not host:
        raise _WrongError("names no host")
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(unquote(host)))
        except ValueError:
            raise _WrongError("has no IPv6 address in its brackets") from None
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    labels = name.removesuffix(".").split(".")
    if not _HOST.fullmatch(name) or len(name) > _LONGEST_HOST or not all(0 < len(label) <= 63 for label in labels):
        raise _WrongError("has a host that is no host name")
    return name


def _name(what: str, text: str | None) -> str:
    """Read a name with its escapes."""
    try:
        name = unquote(text or "", errors="strict")
    except UnicodeDecodeError:
        raise _WrongError(f"has a {what} whose escapes are not UTF-8") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise _WrongError(f"has a control character in its {what}")
    if len(name.encode()) > LONGEST_NAME:
        raise _WrongError(f"has a {what} of more than {LONGEST_NAME} bytes")
    return name
