"""What the broker said of a message that is larger than it allows: it closes the channel, and all that follows there is lost with it.

Confirms would only have told: what is published again is as large as before. Measured on 3.10.8.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from harness.checks.tally.sessions import Session

_PRECONDITION_FAILED: Final = 406
_SAID: Final = re.compile(r"message size (\d+) is larger than (?:configured )?max size (\d+)")


class TooLarge(NamedTuple):
    """Sizes in bytes."""

    body: int
    most: int
    """The broker's max_message_size."""


def too_large(session: Session) -> TooLarge | None:
    """Return what was too large where the broker closed the channel of a connection for that."""
    said = _SAID.search(session.reason) if session.code == _PRECONDITION_FAILED else None
    return None if said is None else TooLarge(*map(int, said.groups()))
