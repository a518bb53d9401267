"""Collects scenario files as tests: `pytest scenarios/`.

Opt-in: a YAML file is taken only if its name ends in `.chaos.yaml`, or if it lies in a folder that was named on the command line and
begins with the language's schema line. No other YAML is ever touched. Options: --chaos-broker, --chaos-reports, --chaos-seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.scenario.load import Loaded

SUFFIX = ".chaos.yaml"
MARK = "harness/scenario/schema.json"
"""What the first line of a scenario that opts in names."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("chaos", "RabbitMQ reliability scenarios")
    group.addoption("--chaos-broker", default=None, help="as chaos run --broker")
    group.addoption("--chaos-reports", default="reports", help="folder of the run directories")
    group.addoption("--chaos-seed", type=int, default=None, help="seed of all random choices")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take a file if it opted in."""
    if file_path.name.endswith(SUFFIX) or (file_path.suffix == ".yaml" and _opted_in(file_path)):
        collected: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
        return collected
    return None


def _opted_in(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return MARK in file.readline()
    except (OSError, UnicodeDecodeError):
        return False


class ScenarioFile(pytest.File):
    """One scenario file; a test for each variant would run brokers apart that belong together, so it is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Load the file; a mistake in it fails the collection with its place."""
        from harness.faults.registry import actions  # noqa: PLC0415 - pytest runs without scenarios stay quick
        from harness.scenario.load import load  # noqa: PLC0415

        loaded = load(self.path, actions())
        yield ScenarioItem.from_parent(self, name=loaded.scenario.name, loaded=loaded)


class ScenarioItem(pytest.Item):
    """A scenario as a test: it passes if the guarantee and all its controls are as expected."""

    def __init__(self, *, loaded: Loaded, **options: Any) -> None:
        """Keep the scenario."""
        super().__init__(**options)
        self._loaded = loaded

    def runtest(self) -> None:
        """Run it; an inconclusive run is a failure here: a test that proved nothing has not passed."""
        from harness.cli.options import BrokerOption  # noqa: PLC0415
        from harness.cli.suite import run_quietly  # noqa: PLC0415
        from harness.verdict.data import Outcome  # noqa: PLC0415

        config = self.config
        verdict, directory = run_quietly(
            self._loaded,
            BrokerOption.parse(config.getoption("--chaos-broker")),
            reports=Path(config.getoption("--chaos-reports")),
            seed=config.getoption("--chaos-seed"),
        )
        for variant in verdict.variants:
            self.user_properties.append((f"{variant.name}.outcome", variant.outcome.value))
        if verdict.outcome is not Outcome.AS_EXPECTED:
            sentences = [sentence for variant in verdict.variants for sentence in variant.explained]
            said = [
                f"{verdict.outcome.value}: {verdict.headline}",
                *sentences,
                f"report: {directory / 'report.html'}",
                f"replay: {verdict.replay}",
            ]
            raise ScenarioFailedError("\n".join(said))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the verdict, not a traceback of the harness."""
        if isinstance(excinfo.value, ScenarioFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point at the file."""
        return self.path, 0, f"scenario {self.name}"


class ScenarioFailedError(Exception):
    """The verdict was not `as expected`."""
