"""Keeps one run on a machine of the engine: `python -m harness.scale.run_supervisor FOLDER COMMAND...`.

It runs the command in the folder, packs what it left, and writes how that ended as a line of JSON. Each line of its standard input is an
interrupt for the run. When that input ends, because whoever asked for the run has fetched it, or is gone, or the Dask worker is,
the run is ended too and the folder removed.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

from harness.errors import HistoryError
from harness.scale.packing import pack

OUTPUT = "output"
ERRORS = "errors"
REPORTS = "reports"
ARCHIVE = "reports.tar.zst"
ENDING_TIMEOUT_S = 120.0
"""How long an interrupted run may take to heal, clean up and write its reports before it is killed."""
CLEANING_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int
    size: int
    """Of the archive with what it left; bytes."""
    problem: str | None
    """Why there is no archive."""


def main(folder: Path, command: list[str]) -> None:
    """Run the command and keep what it left until standard input ends."""
    with (folder / OUTPUT).open("wb") as output, (folder / ERRORS).open("wb") as errors:
        run = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
    unwanted = Event()
    packing = Thread(target=_pack, args=(folder, run, unwanted))
    packing.start()
    interrupted = False
    for _ in sys.stdin.buffer:
        run.send_signal(signal.SIGINT)
        interrupted = True
    unwanted.set()
    if not interrupted:  # a second interrupt would make it leave without cleaning up
        run.send_signal(signal.SIGINT)
    try:
        run.wait(ENDING_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        subprocess.run([*command[:3], "clean"], check=False, capture_output=True, timeout=CLEANING_TIMEOUT_S)
    packing.join()
    shutil.rmtree(folder, ignore_errors=True)


def _pack(folder: Path, run: subprocess.Popen[bytes], unwanted: Event) -> None:
    """Wait for the run's end, pack what it left unless nobody wants it any more, and tell."""
    code, size, problem = run.wait(), 0, None
    if unwanted.is_set():
        return
    try:
        size = pack(folder / REPORTS, folder / ARCHIVE)
    except HistoryError as error:
        problem = str(error)
    sys.stdout.write(json.dumps(asdict(Ended(code, size, problem))) + "\n")
    with suppress(BrokenPipeError):  # whoever asked is gone, which standard input tells as well
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
