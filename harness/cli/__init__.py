"""The `chaos` command."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130
"""ExitCode.INTERRUPTED. Nothing is imported up here that may be cut short by an interrupt, which is to be quiet."""


def main() -> NoReturn:
    """Run the command line, and leave with its exit code. From here on a request to end is what Ctrl-C is."""
    from harness.cli.streams import prepare

    try:
        prepare()
        take_requests_to_end()
        code = answer(sys.argv[1:])
    finally:
        # Python looks for garbage before it ends, a tenth of a second after a run; all of it goes with the process.
        gc.freeze()
    if code == INTERRUPTED:
        # An interrupt that passed through code which was compiled from text (a dataclass is) has Python end itself with SIGINT instead.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def take_requests_to_end() -> None:
    """Let a request to end be what Ctrl-C is, unless it is ignored (nohup)."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def answer(arguments: Sequence[str]) -> int:
    """Do what a command line asks for, and return its exit code: every error is one clear message, never a traceback."""
    try:
        from harness.cli.app import app

        app(list(arguments), prog_name="chaos", standalone_mode=True)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except KeyboardInterrupt:
        # It may have come in the middle of an import: nothing more is imported.
        return INTERRUPTED
    except Exception as error:
        return _said(error)
    return 0


def _said(error: BaseException) -> int:
    """Tell people of an error, and return its exit code."""
    from harness.cli.options import say
    from harness.errors import ChaosError, ExitCode
    from harness.unforeseen import described

    say(described(error))
    return int(error.exit_code if isinstance(error, ChaosError) else ExitCode.INFRASTRUCTURE)
