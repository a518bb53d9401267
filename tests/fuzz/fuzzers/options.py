"""Command lines with something wrong in them: commands, options, values, paths and variables of the environment.

Each must end with exit code 2 (3 where only the machine can tell) and must have started nothing: no run directory, no process.
What would be right is never tried, so that nothing is run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Final
from unittest.mock import patch

import psutil

from harness.errors import ExitCode
from tests.fuzz.attempt import Attempt
from tests.fuzz.running import in_process

ALLOWED: Final = frozenset({ExitCode.USAGE, ExitCode.INFRASTRUCTURE})
SCENARIO: Final = "name: x\npublishers: {messages: 1}\nworkers: {}\n"
ODD: Final = (
    "", " ", "-", "--", "-x", "--no-such", "\x1b[2J", "a\n::error::planted", "\u202eevil", "x" * 5000, "../..", "~", "$(id)", "0x10", "1e3",
    "9" * 400, "nan", "²", "None", "[]", "a\tb", "\udcff", "::error::x",
)  # fmt: skip
NOT_FILES: Final = (
    "missing.yaml",
    "folder",
    "empty.yaml",
    "broken.yaml",
    "/dev/null",
    "scenario.yaml/x",
    "x" * 300,
    "",
)
WRONG: Final[Mapping[str, tuple[str, ...]]] = {
    "--seed": ("-1", "x", "1.5", str(2**63), "9" * 400, ""),
    "--jobs": ("0", "-1", "65", "x", ""),
    "--broker": ("rabbit", "http://x", "compose:missing.yaml", "amqp", "native ", "", "Native"),
    "--client": ("java", "", "PIKA"),
    "--repeat": ("0", "1001", "x"),
    "--steps": ("0", "21", "x"),
    "--budget": ("", "soon", "-1s", "1", "0s", "nan", "1e9h", "9" * 400),
    "--level": ("x", "-1", "2", ""),
    "--rounds": ("0", "1001", "x"),
    "--prefetch": ("-1", "65536", "x"),
    "--per-dot": ("-1", "x"),
    "--url": ("http://x", "amqp://", "x", ""),
    "--vary": ("", "x", "nothing.here=1", "workers.prefetch", "workers.prefetch=", "=1"),
}
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("--seed", "--jobs", "--broker", "--client"),
    "validate": ("--broker",),
    "plan": ("--seed", "--broker"),
    "nightly": ("--jobs", "--broker", "--client", "--budget"),
    "matrix": ("--seed", "--jobs", "--broker", "--client", "--repeat", "--vary"),
    "explore": ("--seed", "--jobs", "--broker", "--client", "--budget", "--steps"),
    "selftest": ("--seed", "--rounds", "--client"),
    "trend": ("--level",),
    "publish": ("--url",),
    "work": ("--url", "--prefetch", "--per-dot"),
}
WITH_SCENARIO: Final = ("run", "validate", "plan", "nightly", "matrix", "explore")
WITH_RUN: Final = ("report", "history", "trace", "compare")
ALL: Final = (*OPTIONS, *WITH_RUN, "list", "init", "schema", "doctor", "clean", "setup", "broker")
ENVIRONMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "CHAOS_BROKER": ("rabbit", "http://x", "amqp", "\x1b[2J", "compose:missing.yaml"),
    "CHAOS_REPORTS": ("scenario.yaml", "scenario.yaml/x", "x" * 300, "/dev/null/x"),
    "CHAOS_SCHEDULER": ("x", "http://x", "tcp://", "tcp://x:y", "tcp://127.0.0.1:99999", "\x1b[2J"),
}


def wrong(chance: random.Random) -> tuple[list[str], dict[str, str]]:  # noqa: PLR0911 - one for each kind of mistake
    """Draw a command line that cannot be right, and what it finds in its environment."""
    match chance.randrange(7):
        case 0:  # a command that there is not
            return [chance.choice((*ODD, "rum", "RUN", "run ", "runn")), *chance.sample(ODD, chance.randrange(3))], {}
        case 1:  # an option that there is not
            return [
                chance.choice(ALL),
                chance.choice(("--no-such", "--\x1b[2J", "-Z", "--seeed=1", "--a\n::error::x")),
            ], {}
        case 2:  # a file that is no scenario
            return [chance.choice((*WITH_SCENARIO, "list")), chance.choice(NOT_FILES)], {}
        case 3:  # a run that there is not
            command = chance.choice(WITH_RUN)
            runs = [chance.choice((*NOT_FILES[:-1], *ODD[5:])) for _ in range(2 if command == "compare" else 1)]
            more = [chance.choice(("x", "publisher-1#1", "#", "\x1b[2J"))] if command == "trace" else []
            return [command, "--reports", "folder", "--", *runs, *more], {}
        case 4 if name := chance.choice(sorted(ENVIRONMENT)):
            return ["run", "scenario.yaml", "--quiet"], {name: chance.choice(ENVIRONMENT[name])}
        case 5:  # something too many
            command = chance.choice(("report", "schema", "doctor", "clean", "trend", "init"))
            return [command, *chance.sample(ODD[8:], 3)], {}
        case _:  # a value that cannot be
            command = chance.choice(sorted(OPTIONS))
            option = chance.choice(OPTIONS[command])
            files = ["scenario.yaml"] if command in WITH_SCENARIO else ["x"] if command == "publish" else []
            return [command, *files, option, chance.choice(WRONG[option])], {}


class Options:
    """Command lines that cannot be right."""

    name = "command lines with mistakes"
    short = 60
    long = 2_000

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Make attempts, in a folder with a scenario and with files that are none."""
        (folder / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        (folder / "empty.yaml").touch()
        (folder / "broken.yaml").write_bytes(b"name: [\xff")
        (folder / "folder").mkdir()
        with chdir(folder):
            for _ in range(count):
                yield _attempt(*wrong(chance), folder)


def _attempt(arguments: list[str], environment: Mapping[str, str], folder: Path) -> Attempt:
    before = set(folder.rglob("*"))
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CHAOS_")}
    with patch.dict(os.environ, {**clean, **environment}, clear=True):
        answer = in_process(arguments)
    left = [f"file {path}" for path in set(folder.rglob("*")) - before]
    left += [f"process {process.pid}" for process in psutil.Process().children(recursive=True)]
    return Attempt(f"{arguments!r} with {dict(environment)!r}", answer, ALLOWED, left=tuple(left))


FUZZER = Options()
