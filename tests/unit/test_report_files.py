"""A report's file is written whole or not at all, where a link leads, and never over what is no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.report.files import replace


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for text in ("one", "two"):
        assert replace(path, text) == path
        assert path.read_text(encoding="utf-8") == text
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    page, link = tmp_path / "folder" / "page.html", tmp_path / "link.html"
    page.parent.mkdir()
    link.symlink_to(page)
    for text in ("one", "two"):
        replace(link, text)
        assert (link.is_symlink(), page.read_text(encoding="utf-8")) == (True, text)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "link to a device"])
def test_what_is_no_file_is_left_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "there"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path.name)
        case _:
            path.symlink_to("/dev/null")
    before = path.lstat()
    with pytest.raises(OSError, match=r"no file|symbolic links"):
        replace(path, "text")
    assert path.lstat().st_mode == before.st_mode
    assert [each.name for each in tmp_path.iterdir()] == ["there"]
