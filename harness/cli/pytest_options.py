"""What pytest's command line says for scenarios, read by the options of `chaos run`: their bounds, variables and words are these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import typer

from harness.cli.options import REPORTS, BrokerChoice, BrokerOption, Reports, Seed
from harness.cli.settings import Settings
from harness.engine.rundir import check_folder
from harness.errors import UsageError
from harness.plain import printed

_SHARED: Final = re.compile(r"(?<![\w-])--(?=(?:broker|reports|seed)\b)")


def read_options(given: Mapping[str, str | None]) -> Settings:
    """Read options by their names in `chaos run`; the environment says what is None.

    Raises UsageError, and InfrastructureError for a folder of reports that cannot be written.
    """
    app = typer.Typer(add_completion=False)
    app.command()(_settings)
    try:
        settings = app(
            [f"--{name}={value}" for name, value in given.items() if value is not None], standalone_mode=False
        )
    except typer.BadParameter as wrong:
        raise UsageError(wrong.format_message()) from None
    if not isinstance(settings, Settings):
        raise TypeError(settings)
    check_folder(settings.reports)
    return settings


def _settings(broker: BrokerChoice = None, reports: Reports = REPORTS, seed: Seed = None) -> Settings:
    return Settings(
        option=BrokerOption.parse(broker),
        broker=broker,
        image=None,
        reports=Path(reports),
        seed=seed,
        controls=True,
        quiet=True,
        json_output=False,
    )


def in_pytest(sentence: str) -> str:
    """Write what the harness says as pytest may print it: options by their names there, and nothing that steers a terminal."""
    return printed(_SHARED.sub("--chaos-", sentence))
