"""Ledgers, damaged in every way, beside a folder and a process that no run owns: `chaos clean` touches neither, and nothing stops it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from harness.errors import ExitCode
from harness.ledger import MARK_FILE, Ledger
from harness.process_mark import ProcessMark
from tests.fuzz.attempt import Attempt
from tests.fuzz.damage import damage, dumped, mutate
from tests.fuzz.running import in_process

TOKEN: Final = "0123456789abcdef"  # noqa: S105 - of a test
OWN: Final = "chaos-broker-0123456789ab"
WAITS: Final = ("/bin/sleep", "600")
COMMANDS: Final = (("clean",), ("doctor",), ("publish", "hello"))


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is beside a damaged ledger."""

    folder: Path
    dead: str
    """The mark of a process that has ended."""
    bystander: subprocess.Popen[bytes]

    def precious(self) -> tuple[Path, ...]:
        """Make folders that no run owns, some with the name of one."""
        made = []
        for name in ("home", OWN, "other/" + OWN, f"link/{OWN}"):
            path = self.folder / name
            path.mkdir(parents=True, exist_ok=True)
            (path / "precious").write_text("precious")
            made.append(path)
        (made[2] / MARK_FILE).write_text(TOKEN[::-1])
        (made[3] / MARK_FILE).write_text(TOKEN)
        real = self.folder / "link"
        real.rename(self.folder / "real")
        real.symlink_to(self.folder / "real")
        return tuple(made)

    def ledger(self, chance: random.Random, precious: tuple[Path, ...], *, in_form: bool) -> dict[str, Any]:
        """Write a ledger of a dead run with entries that are not its own; `in_form` says that each has the form of one that is."""
        bystander = ProcessMark.of(self.bystander.pid)
        marks = [
            f"{bystander.pid}:{int(bystander.started) - 1}@{bystander.place}",
            f"{bystander.pid}:{bystander.started}@00000000.1",
            f"{bystander.pid}:@{bystander.place}",
            f"{os.getppid()}:{ProcessMark.of(os.getppid()).started}@{bystander.place}",
            str(ProcessMark.of(os.getpid())),
        ]
        odd = [str(path) for path in precious[1:]]
        owners = [self.dead]
        if not in_form:
            owners += [self.dead, *marks]
            odd += [f"{path}/.." for path in precious] + [str(precious[0]), f"{self.folder}/home/../{OWN}"]
            odd += ["/", "", ".", "home", "/" + "a/" * 3000]
            marks += [f"{number}:{bystander.started}@{bystander.place}" for number in (0, -1, 1, 2**22, 2**31, 2**64)]
        return {
            "owner": chance.choice(owners),
            "token": TOKEN,
            "processes": chance.sample(marks, chance.randrange(4)),
            "directories": chance.sample(odd, chance.randrange(3)),
            "address": chance.choice(["", "amqp://guest:guest@127.0.0.1:1/", "amqp://[", "\x1b[2J"]),
        }


@dataclass(frozen=True, slots=True)
class DamagedLedgers:
    """One attempt is one damaged ledger and one command beside it."""

    name: str = "damaged ledgers"
    short: int = 10
    long: int = 300

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Damage a ledger and clean up, once and again; the second time there is nothing to say."""
        child = subprocess.Popen(["/bin/true"])
        dead = str(ProcessMark.of(child.pid))
        child.wait()
        bystander = subprocess.Popen(WAITS)
        try:
            for number in range(count):
                place = folder.resolve() / f"{number}"
                place.mkdir()
                with (
                    patch.dict(os.environ, {"CHAOS_STATE_DIR": str(place / "state")}),
                    patch("harness.broker.sweeping.sweep_containers", lambda: ((), "")),
                ):
                    yield self._attempt(chance, Scene(place, dead, bystander))
                shutil.rmtree(place, ignore_errors=True)
        finally:
            bystander.kill()
            bystander.wait()

    def _attempt(self, chance: random.Random, scene: Scene) -> Attempt:
        living = Ledger("living")
        kept = living.make_directory(scene.folder, "kept")
        precious = scene.precious()
        path = (
            scene.folder / "state" / chance.choice(["run.json", "by-hand-0.json", f"{'x' * 240}.json", "a\u202eb.json"])
        )
        in_form = chance.random() < 0.4
        data = scene.ledger(chance, precious, in_form=in_form)
        said = [json.dumps(data)[:300]]
        if not in_form and chance.random() < 0.5:
            said += [mutate(chance, data) for _ in range(chance.choice([1, 1, 3]))]
        path.write_bytes(dumped(data))
        if not in_form and chance.random() < 0.5:
            said.append(damage(chance, path))
        command = chance.choice([COMMANDS[0], *COMMANDS])
        answers = [in_process(command)] if command != COMMANDS[0] else []
        answers += [in_process(COMMANDS[0]) for _ in range(2)]
        left = [f"{each} was removed" for each in (*precious, kept) if not each.exists()]
        left += [f"{each} was emptied" for each in precious if not (each / "precious").exists()]
        left += ["a process of somebody else was ended"] if scene.bystander.poll() is not None else []
        left += (
            ["a ledger blocks the next sweep"] if answers[-1].out != "nothing to remove\n" or answers[-1].err else []
        )
        living.close()
        wrong = next((answer for answer in answers[-2:] if answer.code != 0), answers[0])
        return Attempt(
            f"chaos {' '.join(command)}: {'; '.join(said)}",
            wrong,
            frozenset(
                {ExitCode.AS_EXPECTED, ExitCode.INFRASTRUCTURE, ExitCode.USAGE}
                if command != COMMANDS[0]
                else {ExitCode.AS_EXPECTED}
            ),
            left=tuple(left),
        )


FUZZER = DamagedLedgers()
