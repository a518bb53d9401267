"""Collects scenario files as tests: `pytest scenarios/`.

Opt-in: a YAML file is taken only if its name ends in `.chaos.yaml`, or if it lies in a folder that was named on the command line and
begins with the language's schema line. No other YAML is ever touched. Options: --chaos-broker, --chaos-reports, --chaos-seed, which are
those of `chaos run`, with its variables of the environment.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from harness.plain import plain, printed

if TYPE_CHECKING:
    from harness.cli.settings import Settings
    from harness.scenario.load import Loaded

SUFFIX = ".chaos.yaml"
MARK = "harness/scenario/schema.json"
"""What the first line of a scenario that opts in names."""
LONGEST_FIRST_LINE: Final = 1000
OPTIONS: Final = {"broker": "--chaos-broker", "reports": "--chaos-reports", "seed": "--chaos-seed"}
"""By their names in `chaos run`."""
SETTINGS: Final = pytest.StashKey["Settings"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; `chaos run` reads them."""
    group = parser.getgroup("chaos", "RabbitMQ reliability scenarios")
    group.addoption("--chaos-broker", default=None, help="as chaos run --broker (CHAOS_BROKER)")
    group.addoption("--chaos-reports", default=None, help="folder of the run directories (CHAOS_REPORTS)")
    group.addoption("--chaos-seed", default=None, help="seed of all random choices")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before anything is collected."""
    if any(config.getoption(option) is not None for option in OPTIONS.values()):
        _settings(config)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Refuse a wrong environment at the first scenario, before anything is started: to other tests it is nothing.

    A process of pytest-xdist cannot: its refusal would be lost, so there it is an error of collecting the file.
    """
    if isinstance(collector, ScenarioFile) and not hasattr(collector.config, "workerinput"):
        _settings(collector.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Let all scenarios of the session have their brokers of one pool, which ends with it."""
    if not any(isinstance(item, ScenarioItem) for item in session.items):
        return (yield)
    from harness.cli.brokers import pooled  # noqa: PLC0415 - pytest without scenarios stays quick

    with pooled():
        return (yield)


def _settings(config: pytest.Config) -> Settings:
    """Return what options and environment say, read once. Raises pytest.UsageError."""
    from harness.cli.pytest_options import in_pytest, read_options  # noqa: PLC0415 - pytest without scenarios stays quick
    from harness.errors import ChaosError  # noqa: PLC0415

    if SETTINGS not in config.stash:
        try:
            config.stash[SETTINGS] = read_options({name: config.getoption(option) for name, option in OPTIONS.items()})
        except ChaosError as wrong:
            raise pytest.UsageError(in_pytest(str(wrong))) from None
    return config.stash[SETTINGS]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take a file if it opted in."""
    if file_path.name.endswith(SUFFIX) or (file_path.suffix == ".yaml" and _opted_in(file_path)):
        collected: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
        return collected
    return None


def _opted_in(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return MARK in file.readline(LONGEST_FIRST_LINE)
    except (OSError, UnicodeDecodeError):
        return False


class ScenarioFile(pytest.File):
    """One scenario file; a test for each variant would run brokers apart that belong together, so it is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Load and check the file as `chaos run` does."""
        from harness.cli.running import load  # noqa: PLC0415

        settings = _settings(self.config)
        for loaded in load([self.path], settings.option, to_run=True):
            yield ScenarioItem.from_parent(self, loaded=loaded, settings=settings)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:  # noqa: ARG002
        """Show every mistake in the file with its place."""
        return _sentence(excinfo.value)


class ScenarioItem(pytest.Item):
    """A scenario as a test: it passes if the guarantee and all its controls are as expected."""

    def __init__(self, *, loaded: Loaded, settings: Settings, **options: Any) -> None:
        """Keep the scenario. Its name in pytest is harmless, whatever its file says."""
        super().__init__(name=plain(loaded.scenario.name), **options)
        self._loaded = loaded
        self._settings = settings

    def runtest(self) -> None:
        """Run it; an inconclusive run is a failure here: a test that proved nothing has not passed."""
        from harness.cli.suite import run_quietly  # noqa: PLC0415
        from harness.verdict.data import Outcome  # noqa: PLC0415

        verdict, directory = run_quietly(self._loaded, self._settings)
        for variant in verdict.variants:
            self.user_properties.append((plain(f"{variant.name}.outcome"), variant.outcome.value))
        if verdict.outcome is not Outcome.AS_EXPECTED:
            sentences = [sentence for variant in verdict.variants for sentence in variant.explained]
            said = [
                f"{verdict.outcome.value}: {verdict.headline}",
                *sentences,
                f"report: {directory / 'report.html'}",
                f"replay: {verdict.replay}",
            ]
            raise ScenarioFailedError("\n".join(said))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:  # noqa: ARG002
        """Show the verdict or what went wrong, and no traceback of the harness, whose arguments may hold a password."""
        return _sentence(excinfo.value)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point at the file."""
        return self.path, 0, f"scenario {self.name}"


def _sentence(error: BaseException) -> str:
    from harness.cli.pytest_options import in_pytest  # noqa: PLC0415
    from harness.errors import UsageError  # noqa: PLC0415
    from harness.masking import without_passwords  # noqa: PLC0415
    from harness.unforeseen import described  # noqa: PLC0415

    match error:
        case ScenarioFailedError():
            return printed(without_passwords(str(error)))
        case UsageError():  # repeats no address, and may show how one is written
            return in_pytest(str(error))
        case pytest.UsageError():  # refused by `_settings`
            return str(error)
        case Exception():
            return in_pytest(without_passwords(described(error)))
        case _:  # pytest's own, such as the end of its time limit
            return in_pytest(without_passwords(str(error)))


class ScenarioFailedError(Exception):
    """The verdict was not `as expected`."""
