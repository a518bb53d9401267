"""Brokers that fall silent, refuse, talk nonsense or are none, and commands that meet them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from harness.errors import ExitCode
from tests.fuzz.attempt import Attempt
from tests.fuzz.running import as_process
from tests.hostile_broker import MODES, Mode, garbling, hostile_broker

ROOT: Final = Path(__file__).parents[3]
AT_ONCE: Final = 4
"""Commands at once: most of them wait."""
SCENARIO: Final = """
name: hostile
publishers: {messages: 10}
workers: {count: 1}
controls:
  automatic: {set: {workers.acks: automatic}, expect: {lost: ">= 0"}}
"""
COMMANDS: Final = ("run", "run", "publish", "publish", "work", "validate", "plan")
GARBLED: Final = 0.15
"""How often a good broker's bytes are garbled, instead of one of the modes."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an attempt is made of."""

    mode: Mode
    command: str
    what: str
    secret: str

    @property
    def soon(self) -> bool:
        """Whether it ends within a few seconds."""
        return self.mode.lasting or self.mode.soon or self.command in ("validate", "plan")


@dataclass(frozen=True, slots=True)
class HostileBrokers:
    """Draws a mode and a command."""

    name: str = "hostile brokers"
    short: int = 8
    long: int = 300

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Make attempts, several at once; with few of them, such as end soon."""
        drawn = _drawn(chance)
        chosen = [next(one for one in drawn if one.soon or count > self.short) for _ in range(count)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(_tried, chosen, (folder / str(number) for number in range(count)))


def _drawn(chance: random.Random) -> Iterator[Drawn]:
    while True:
        secret = f"secret-{chance.randrange(1 << 40):x}"
        if chance.random() < GARBLED:
            seed = chance.randrange(1 << 32)
            garbled = garbling(_flips(random.Random(seed)))
            yield Drawn(garbled, "publish", f"publish to a broker garbled with {seed}", secret)
            continue
        mode = chance.choice(MODES)
        command = chance.choice([each for each in COMMANDS if each != "work" or not mode.works])
        yield Drawn(mode, command, f"{command} and a broker that is: {mode.name}", secret)


class _flips:  # noqa: N801 - it is used as a function
    """Garbles about one byte of a hundred."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def __call__(self, data: bytes) -> bytes:
        return bytes(self._chance.randrange(256) if self._chance.random() < 0.01 else byte for byte in data)


def _tried(drawn: Drawn, folder: Path) -> Attempt:
    folder.mkdir()
    (folder / "x.yaml").write_text(SCENARIO)
    state = str(folder / "state")
    environment = {"CHAOS_STATE_DIR": state, "PYTHONPATH": str(ROOT)}
    with hostile_broker(drawn.mode) as bare:
        url = bare.replace("://", f"://guest:{drawn.secret}@")
        answer = as_process(_arguments(drawn.command, url), environment=environment, folder=folder)
    return Attempt(
        drawn.what,
        answer,
        _allowed(drawn),
        secrets=(drawn.secret,),
        left=tuple(_left(folder, state)),
        files=tuple(path.read_text(errors="replace") for path in folder.glob("reports/2*/**/*.*") if path.is_file()),
    )


def _arguments(command: str, url: str) -> list[str]:
    match command:
        case "publish":
            return ["publish", "hello", "--url", url]
        case "work":
            return ["work", "--url", url]
    return [command, "x.yaml", "--broker", url]


def _allowed(drawn: Drawn) -> frozenset[ExitCode]:
    """What only the other side can tell is infrastructure; what asks nobody is as expected."""
    if drawn.command in ("validate", "plan"):
        return frozenset({ExitCode.AS_EXPECTED})
    if drawn.mode.name == "garbles":
        return frozenset({ExitCode.AS_EXPECTED, ExitCode.INFRASTRUCTURE})
    return frozenset({ExitCode.INFRASTRUCTURE})


def _left(folder: Path, state: str) -> Iterator[str]:
    """Name ledgers, addresses, and processes of the command that live on."""
    yield from (f"ledger {path.name}" for path in Path(state).glob("*.json"))
    if (folder / "reports" / "trend").exists():
        yield "rows of the trend"
    for process in psutil.process_iter(["pid", "environ"]):
        if (process.info["environ"] or {}).get("CHAOS_STATE_DIR") == state and process.status() != psutil.STATUS_ZOMBIE:
            yield f"process {process.info['pid']}"


FUZZER = HostileBrokers()
