"""What the command line says about the runs that it asks for."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from harness.cli.options import BrokerOption
from harness.masking import without_passwords
from harness.scenario.load import Loaded

SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class Settings:
    """Options that hold for every run of a command."""

    option: BrokerOption
    broker: str | None = field(repr=False)
    """What `option` was read from; may hold a password."""
    image: str | None
    reports: Path
    seed: int | None
    controls: bool
    quiet: bool
    json_output: bool
    client: str | None = None
    """What publishers and workers speak AMQP with, where the command line says it."""
    scheduler: str | None = None
    """The address of the Dask scheduler whose workers take the runs, or the traffic of one; this machine does if None."""
    fresh: bool = False
    """Whether each variant gets a broker of its own."""
    night: str | None = None
    """What the runs count for in the trend; each for itself if None."""

    def environment(self) -> dict[str, str]:
        """Return the variables that a child process needs: the broker's address may hold a password, and everybody can read arguments."""
        return {"CHAOS_BROKER": self.broker} if self.broker is not None else {}

    def _arguments(self) -> list[str]:
        given = ["--image", self.image] if self.image is not None else []
        given += ["--client", self.client] if self.client is not None else []
        given += ["--fresh"] if self.fresh else []
        return given

    def run_arguments(self, seed: int) -> list[str]:
        """Write the arguments of `chaos run` for a child process, but for the reports' folder and the file; see also `environment`."""
        options = ["--json", "--seed", str(seed), *self._arguments()]
        options += [] if self.controls else ["--no-controls"]
        options += ["--quiet"] if self.quiet else []
        return options + (["--night", self.night] if self.night is not None else [])

    def replay_options(self) -> list[str]:
        """Write the options that a replay needs, without a password."""
        broker = ["--broker", without_passwords(self.broker)] if self.broker is not None else []
        return [*broker, *self._arguments()]

    def replay(self, loaded: Loaded, seed: int) -> str:
        """Write the command that runs a scenario again as it was run."""
        command = ["chaos", "run", str(loaded.path), "--seed", str(seed), *self.replay_options()]
        return shlex.join(command + ([] if self.controls else ["--no-controls"]))

    def seed_of(self, loaded: Loaded) -> int:
        """Return the seed that a run is given: the command line's, the scenario's, or a fresh one."""
        return seed_for(loaded, self.seed)


def seed_for(loaded: Loaded, given: int | None) -> int:
    """Return the seed of a run: the given one, the scenario's, or a fresh one."""
    if given is not None:
        return given
    return loaded.scenario.seed if loaded.scenario.seed is not None else draw_seed()


def draw_seed() -> int:
    """Draw a seed for a run that was given none."""
    return secrets.randbelow(SEEDS)
