"""Who does the runs of a command: this machine, or the workers of a Dask engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from harness.cli.processes import Executor, LocalProcesses
from harness.cli.settings import Settings
from harness.errors import UsageError
from harness.scenario.load import Loaded


@contextmanager
def executor_for(settings: Settings, loaded: Sequence[Loaded]) -> Iterator[Executor]:
    """Give the crew that the command asks for. Raises UsageError and InfrastructureError before anything is started."""
    if settings.scheduler is None:
        with closing(LocalProcesses(settings)) as processes:
            yield processes
        return
    for one in loaded:
        if (settings.option.backend or one.scenario.broker.backend) == "compose":
            raise UsageError(
                f"{one.path}: a run on a Dask worker cannot use --broker compose: the project's files are on this machine; "
                "leave --scheduler away, or choose another broker"
            )
    from harness.cli.farming import farmed

    with farmed(settings.scheduler, settings) as executor:
        yield executor
