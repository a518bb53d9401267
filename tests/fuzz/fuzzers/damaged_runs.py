"""Run directories and stores of the trend, damaged in every way that a disk, a crash or a person can: each is told in one sentence.

What is damaged is a run of this version and one of the first, each tiny and recorded on a real broker.
"""

from __future__ import annotations

import random
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from harness.errors import ExitCode
from tests.fuzz.attempt import LAST_RESORT, Answer, Attempt
from tests.fuzz.damage import damage
from tests.fuzz.running import in_process

DATA: Final = Path(__file__).parents[2] / "data"
VERSIONS: Final = ("version-1", "version-2", "version-2")
BOUND_S: Final = 60.0
MEMORY_BYTES: Final = 1 << 30
"""What an answer may ask for beyond what this process has."""
_FINE, _BROKEN = ExitCode.AS_EXPECTED, ExitCode.INFRASTRUCTURE
_RENDERER: Final = re.compile(r"could not be written: \w+(Error|Exception):")
"""A report that an error cost which nobody foresaw."""

COMMANDS: Final[dict[str, frozenset[ExitCode]]] = {
    "report {run}": frozenset({_FINE, _BROKEN}),
    "history {run}": frozenset({_FINE, _BROKEN}),
    "history {run} --csv": frozenset({_FINE, _BROKEN}),
    "trace {run} publisher-1#25": frozenset({_FINE, _BROKEN, ExitCode.USAGE}),
    "compare {run} {whole}": frozenset({_FINE, _BROKEN}),
    "selftest {run} --rounds 1": frozenset({_FINE, _BROKEN, ExitCode.VIOLATED}),
    "trend": frozenset({_FINE, _BROKEN, ExitCode.USAGE}),
}
"""A history that was damaged unseen may not hold the message that is asked for, or hide what was planted."""


class HungError(BaseException):
    """A command did not answer; no handler of errors may take it for one of its own."""


@contextmanager
def bounded() -> Iterator[None]:
    """Let a block take only so much time and memory: HungError and MemoryError."""

    def hung(_number: int, _frame: FrameType | None) -> None:
        raise HungError

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, hung)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, BOUND_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)


def answered(arguments: list[str]) -> Answer:
    """Answer a command within bounds."""
    try:
        with bounded():
            return in_process(arguments)
    except HungError:
        return Answer(None, "", "")


@dataclass(frozen=True, slots=True)
class DamagedRuns:
    """One attempt is one damaged directory and one command on it."""

    name: str = "damaged run directories"
    short: int = 14
    long: int = 300 * len(COMMANDS)

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Damage a run, and ask everything about it; then the next one."""
        tried = 0
        while tried < count:
            reports = folder / f"{tried}"
            said = self._damaged(chance, reports)
            for command, allowed in COMMANDS.items():
                if tried == count:
                    break
                tried += 1
                places = {"run": "run", "whole": str(folder / "whole")}
                arguments = [word.format(**places) for word in command.split()] + ["--reports", str(reports)]
                answer = answered(arguments)
                failed = _RENDERER.search(answer.err)
                yield Attempt(
                    f"{said}; chaos {command}",
                    answer,
                    allowed,
                    files=(f"{LAST_RESORT}: {failed[0]}",) if failed else (),
                )
            shutil.rmtree(reports, ignore_errors=True)

    def _damaged(self, chance: random.Random, reports: Path) -> str:
        version = chance.choice(VERSIONS)
        shutil.copytree(DATA / version / "run", reports / "run")
        shutil.copytree(DATA / version / "trend", reports / "trend")
        shutil.copytree(DATA / "version-2" / "run", reports.parent / "whole", dirs_exist_ok=True)
        said = [version]
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            files = [path for path in sorted(reports.rglob("*")) if path.is_file() and not path.is_symlink()]
            # Logs and events are most of the files, but not of what is read.
            path = chance.choice(
                [chance.choice(files), chance.choice([each for each in files if _is_telling(each)] or files)]
            )
            said.append(damage(chance, path))
        if chance.random() < 0.05:
            variant = chance.choice(sorted((reports / "run/variants").iterdir()))
            variant.rename(variant.with_name("another"))
            said.append(f"{variant.name} renamed")
        return "; ".join(said)


def _is_telling(path: Path) -> bool:
    return path.parent.name in ("run", "trend") or path.suffix == ".jsonl"


FUZZER = DamagedRuns()
