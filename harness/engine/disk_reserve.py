"""Room that is kept on the reports' disk, so that a run that fills it can still be told of."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from harness.errors import InfrastructureError

ROOM_BYTES = 16 * 1024 * 1024
"""For the last events, the broker's logs and the reports of one run."""


class DiskReserve:
    """Allocated blocks of a file without a name: they are free again when it is given up, or its process has ended."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._file: BinaryIO | None = None

    def take(self, directory: Path) -> None:
        """Take it on a directory's disk. Raises InfrastructureError when there is not that much."""
        try:
            self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - held until it is given up
            os.posix_fallocate(self._file.fileno(), 0, ROOM_BYTES)
        except OSError as error:
            self.give_up()
            raise InfrastructureError(
                f"there is no room for a run in {directory}: {error.strerror}; make room on its disk, or choose another with "
                "--reports"
            ) from error

    def give_up(self) -> None:
        """Let others have it; safe to call any number of times."""
        if self._file is not None:
            self._file.close()
            self._file = None
