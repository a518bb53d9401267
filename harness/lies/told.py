"""What was told: the lies of a run, one a line, written by the liar and read by whoever asks whether each was found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Order:
    """A lie that is to be told: on the first message of a publisher that suits it, within a range of sequence numbers."""

    lie: str
    publisher: int
    first: int
    last: int
    queue: str
    """On the copy in this queue; empty for a lie about messages in all of their queues."""
    window: str
    """When: a scene.Window."""


@dataclass(frozen=True, slots=True)
class Told:
    """A lie that was told, and about which message."""

    lie: str
    at_ns: int
    publisher: int
    """0 for a message without an identity."""
    seq: int
    attempt: int
    queue: str
    """The queue whose copy it concerns; empty for the message in all of its queues."""
    actor: str
    """The client whose connection it was told on."""
    order: int
    """Which of the orders this is, by its place."""


def write_told(path: Path, told: Told) -> None:
    """Add a lie to the file, for whoever reads it after the run."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(told)) + "\n")


def read_told(path: Path) -> tuple[Told, ...]:
    """Read all lies of a run; none where the file is not there."""
    if not path.exists():
        return ()
    return tuple(Told(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
