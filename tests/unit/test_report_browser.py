"""The pages in a real browser: no error on its console, every chart drawn, nothing fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.report.html import html
from tests.unit import report_samples as samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


def opened(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Open a page; return its document once the scripts are done, and what the browser's console says."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = re.findall(r'CONSOLE[^\]]*\] "(.*?)", source:', done.stderr, re.DOTALL)
    return done.stdout, [message for message in said if not re.match(r"\[bokeh [\d.]+\] setting log level", message)]


@pytest.mark.parametrize(("name", "charts"), [("passing", 3), ("failing", 1), ("hostile", 1), ("infrastructure", 1)])
def test_a_page_opens_from_disk_without_a_word_on_the_console(tmp_path: Path, name: str, charts: int) -> None:
    sample = samples.ALL[name]()
    page = tmp_path / "report.html"
    page.write_text(
        html(sample.run, histories=sample.histories, resolved_scenario=sample.resolved, broker_logs=sample.logs),
        encoding="utf-8",
    )
    document, said = opened(page, tmp_path / "profile")
    assert said == []
    assert f'data-charts="{charts}"' in document
    assert "<title>hacked" not in document


def test_the_console_is_listened_to(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<script>undefined_name</script>", encoding="utf-8")
    _, said = opened(page, tmp_path / "profile")
    assert any("undefined_name is not defined" in message for message in said)
