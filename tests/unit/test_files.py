"""Files that may be damaged are read, or refused in a few words, and never waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.files import open_file, parse_json, read_text, reason


def test_a_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("süß")
    assert read_text(tmp_path / "file") == "süß"


def made(path: Path, kind: str) -> Path:
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "bytes":
            path.write_bytes(b"ab\xff")
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("directory", "it is a directory, and should be a file"),
        ("pipe", "it is a pipe, and should be a file"),
        ("loop", "Too many levels of symbolic links"),
        ("missing", "No such file or directory"),
        ("bytes", "byte 2 is not UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_at_once(kind: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((OSError, ValueError)) as caught:
        read_text(made(tmp_path / "file", kind))
    assert isinstance(caught.value, OSError | ValueError)
    assert reason(caught.value) == said


def test_a_refused_file_is_not_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="directory"):
            open_file(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ("[NaN]", "NaN is not a number"),
        ("-Infinity", "-Infinity is not a number"),
        ("1e400", "the number 1e400 is too large"),
        ("[9223372036854775807]", "the number 9223372036854775807 is too large"),
        ("9" * 10_000, "the number 999999999999999999999999 is too large"),
    ],
)
def test_json_that_no_array_takes_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said + "$"):
        parse_json(text)


def test_json_is_read() -> None:
    assert parse_json('{"a": [1, -2.5, "x", null, true]}') == {"a": [1, -2.5, "x", None, True]}
