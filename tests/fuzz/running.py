"""How fuzzers call `chaos`: in this process, for ten thousand scenarios a minute, or as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Final

import typer.main

from harness.cli import answer
from tests.fuzz.attempt import Answer

typer.main.get_command = cache(typer.main.get_command)
"""The commands are put together once, and not for each call: that takes longer than most of them."""

HANG_S: Final = 120.0
"""A bound for what hangs. Nothing that is tried takes a tenth of it."""


def in_process(arguments: Sequence[str]) -> Answer:
    """Answer a command in this process, with all that it prints."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = answer(arguments)
    return Answer(code, _text(out), _text(err))


def as_process(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    within_s: float = HANG_S,
) -> Answer:
    """Answer a command as a process of its own, which is killed if it does not end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="backslashreplace",
        env={**os.environ, **(environment or {})},
        cwd=folder,
    )
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Answer(None, out, err)
    return Answer(process.returncode, out, err)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", errors="backslashreplace")
