"""The `chaos` command."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; every error the harness knows is one clear message and its exit code, never a traceback."""
    from harness.cli.app import app
    from harness.errors import ChaosError, ExitCode

    try:
        app(standalone_mode=True)
    except ChaosError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        sys.stderr.write(f"{error.strerror or error}{place}\n")
        sys.exit(int(ExitCode.INFRASTRUCTURE))
    finally:
        # Python looks for garbage before it ends, a tenth of a second after a run; all of it goes with the process.
        gc.freeze()
    sys.exit(0)
