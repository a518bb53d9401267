"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal, cast

import typer

from harness.errors import UsageError
from harness.plain import printed, without_commands
from harness.traffic.client_name import ClientName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from harness.broker.protocol import Broker, BrokerSettings
    from harness.ledger import Ledger
    from harness.scenario.mistake import Mistake
    from harness.scenario.scenario import BrokerModel


def _scheduler(text: str | None) -> str | None:
    """Check an address as it is read: it is wrong before anything is started. Raises UsageError."""
    if text is not None:
        from harness.scale.address import check

        check(text)
    return text


def check_image(text: str | None, option: str = "--image") -> str | None:
    """Check an image's name, and the one in CHAOS_IMAGE, as they are read. Raises UsageError."""
    if text or os.environ.get("CHAOS_IMAGE"):
        from harness.broker.image_choice import of_environment
        from harness.scenario.broker_config import image_fault

        of_environment()
        if text and (fault := image_fault(text)) is not None:
            raise UsageError(f"{option}: {fault}")
    return text


def _image(text: str | None) -> str | None:
    return check_image(text)


REPORTS = Path("reports")
TREND_FOLDER = "trend"
"""Where the trend's rows lie, in the folder of the reports."""

Scenarios = Annotated[list[Path], typer.Argument(help="Scenario files, or folders of them.", show_default=False)]
Reports = Annotated[
    Path, typer.Option("--reports", envvar="CHAOS_REPORTS", help="Folder that run directories are written to.")
]
BrokerChoice = Annotated[
    str | None,
    typer.Option(
        "--broker",
        envvar="CHAOS_BROKER",
        help="auto, container, native, compose, compose:FILE, compose:FILE:SERVICE, or an amqp:// URL. "
        "The scenario's own choice (auto if it has none) if not given.",
        show_default=False,
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        "--image",
        callback=_image,
        help="Image of the container backend (CHAOS_IMAGE is the same by environment).",
        show_default=False,
    ),
]
Client = Annotated[
    ClientName | None,
    typer.Option(
        "--client",
        help="What publishers and workers speak AMQP with. The scenario's own choice (pika if it has none) if not given.",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        envvar="CHAOS_SCHEDULER",
        callback=_scheduler,
        help="tcp://HOST:PORT or tls://HOST:PORT of a Dask scheduler, whose workers take the runs. This machine alone if not given.",
        show_default=False,
    ),
]
WIDTH: Final = 80
"""Columns of a table where COLUMNS names none that a table could have."""
WIDEST: Final = 1000
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Boot a broker of its own for each variant, instead of using one again that a variant left healthy.",
    ),
]
LARGEST_SEED: Final = 2**63 - 1
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=LARGEST_SEED, help="Seed of all random choices; drawn if not given."),
]
Backend = Literal["auto", "container", "native", "compose", "external"]


@dataclass(frozen=True, slots=True)
class BrokerOption:
    """What --broker says; None where the scenario decides."""

    backend: Backend | None = None
    url: str | None = field(default=None, repr=False)
    """May hold a password."""
    compose_file: Path | None = None
    service: str | None = None

    @classmethod
    def parse(cls, text: str | None) -> BrokerOption:
        """Read the option. Raises UsageError."""
        if text is None:
            return cls()
        if text.lstrip().startswith(("amqp://", "amqps://")):
            from harness.broker.address import parse_url

            parse_url(text)
            return cls("external", url=text)
        kind, _, rest = text.partition(":")
        if kind == "compose" and "://" not in text:
            file, _, service = rest.partition(":")
            return cls("compose", compose_file=Path(file) if file else None, service=service or None)
        match text:
            case "auto" | "container" | "native":
                return cls(text)
        raise UsageError(
            f"--broker must be auto, container, native, compose, compose:FILE[:SERVICE] or an amqp:// URL, not {_safe(text)}"
        )

    def check(self, model: BrokerModel, scenario_file: Path, *, to_run: bool = False) -> None:
        """Check what a scenario and this option ask for, as far as can be seen before anything is started. Raises UsageError."""
        backend = self.backend or model.backend
        if backend == "compose":
            from harness.broker.compose_file import check

            check(self._compose_file(model, scenario_file), self.service or model.service)
        if backend == "external" and self.url is None and to_run:
            raise UsageError(
                f"{scenario_file}: an external broker needs its address: --broker amqp://user:password@host:5672/"
            )

    def _compose_file(self, model: BrokerModel, scenario_file: Path) -> Path:
        beside = scenario_file.parent / model.compose_file
        return self.compose_file or (beside if os.path.lexists(beside) else Path(model.compose_file))

    def make(
        self,
        model: BrokerModel,
        scenario_file: Path,
        settings: BrokerSettings,
        ledger: Ledger,
        say: Callable[[str], None] = lambda _line: None,
    ) -> tuple[Broker, str]:
        """Choose and make the broker that a scenario and this option ask for. `say` takes lines for people while it is waited for."""
        from harness.broker.select import select

        selection = select(
            self.backend or model.backend,
            settings,
            ledger,
            url=self.url,
            compose_file=self._compose_file(model, scenario_file),
            compose_service=self.service or model.service,
            commands={str(key): value for key, value in model.commands.items()},
            say=say,
        )
        return selection.broker, selection.reason

    def missing(self, scenario_file: Path, model: BrokerModel) -> Iterator[Mistake]:
        """Find the file that the scenario names for its broker and that is not there, or is not a file; one that the option names is checked with it."""
        if (self.backend or model.backend) != "compose" or self.compose_file is not None:
            return
        from harness.broker.compose_file import fault
        from harness.scenario.mistake import Mistake

        found = fault(self._compose_file(model, scenario_file))
        if found is not None:
            yield Mistake(("broker", "compose_file"), f"{found}; name one that is there")

    def abilities(self, model: BrokerModel) -> frozenset[str]:
        """Name what can be done to the broker (see harness.broker.protocol.Ability), known before anything is started."""
        from harness.broker.abilities import abilities

        commands = {str(key): value for key, value in model.commands.items()}
        return frozenset(str(each) for each in abilities(self.backend or model.backend, commands))


def _safe(text: str) -> str:
    """Show what somebody wrote, unless it may be an address: any part of one may be a password."""
    return "that" if any(mark in text for mark in "@:/") else repr(text)


def error_console(*, no_color: bool = False) -> Console:
    """Return the console of live progress: standard error."""
    return _console(sys.stderr, no_color=no_color)


def _console(stream: IO[str], *, no_color: bool) -> Console:
    from rich.console import Console

    columns = os.environ.get("COLUMNS", "")
    return Console(
        file=cast("IO[str]", _Lasting(stream)),
        no_color=no_color or None,
        highlight=False,
        soft_wrap=not stream.isatty(),
        width=WIDTH if columns.isdigit() and not 0 < int(columns[:9]) <= WIDEST else None,
    )


def result_console(*, json_output: bool, no_color: bool = False) -> Console:
    """Return the console of results: standard output, or standard error where standard output carries JSON."""
    return _console(sys.stderr if json_output else sys.stdout, no_color=no_color)


def say(text: str) -> None:
    """Write a line for people that is no result, or a few: to standard error, with nothing in it that steers a terminal or a CI system."""
    say_as_it_is(printed(text))


def say_as_it_is(text: str) -> None:
    """Write to standard error what is harmless already, and may hold commands for a CI system that are meant."""
    stream = _Lasting(sys.stderr)
    stream.write_as_it_is(f"{text}\n")
    stream.flush()


def echo(text: str, *, nl: bool = True) -> None:
    """Write a result for people: to standard output, with nothing in it that steers a terminal or a CI system."""
    typer.echo(printed(text), nl=nl)


class _Lasting:
    """A stream for people. That nobody reads it any more (a closed terminal, a pipe to `head`) does not end a run.

    What consoles write may hold colours; a name that is a command for a CI system is disarmed here, wherever a table puts it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self.write_as_it_is(without_commands(text))

    def write_as_it_is(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _to_nowhere(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _to_nowhere(self._stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _to_nowhere(stream: IO[str]) -> None:
    """Let a stream write to the null device, what is still in its buffer too, which would fail again at the end of Python."""
    with Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), stream.fileno())


def in_ci() -> bool:
    """Whether this runs as a GitHub Actions job, which reads annotations from the output."""
    return os.environ.get("GITHUB_ACTIONS") == "true"
