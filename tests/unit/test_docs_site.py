"""The built site: no warning in the building, nothing loaded from elsewhere, no error in a browser."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.unit.doc_blocks import ROOT

pytestmark = pytest.mark.seconds

LOADS = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src",
    "object": "data", "link": "href",
}  # fmt: skip
POINTERS = frozenset({"canonical", "next", "prev", "alternate"})
"""What a link element may say without having anything loaded."""
ONLY_FROM_HERE = "default-src 'self' 'unsafe-inline' data: blob:"
"""Has the browser refuse everything from elsewhere, and say so on its console."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """Collects what a page has the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in POINTERS:
            return
        self.found += [values[name] or "" for name in (LOADS.get(tag), "srcset") if name is not None and name in values]
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", values.get("style") or "")


def loads(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return re.findall(r"(?:url\(|@import\s+)['\"]?([^'\")]+)", text)
    parser = Loads()
    parser.feed(text)
    return parser.found


def from_elsewhere(folder: Path) -> list[str]:
    pages = [path for path in sorted(folder.rglob("*")) if path.suffix in (".html", ".css")]
    assert pages
    return [f"{path.name}: {url}" for path in pages for url in loads(path) if re.match(r"(?:[a-z]+:)?//", url)]


def test_no_page_and_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    assert from_elsewhere(site) == []
    assert (site / "message-lives-light.svg").exists()
    # The theme's script would fetch a library for these; the pages use none of them.
    assert not [path.name for path in site.glob("*.html") if 'class="mermaid"' in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<link rel="preconnect" href="//fonts.example.org">',
        '<img src="http://example.org/a.png">',
        '<p style="background: url(https://example.org/a.png)"></p>',
    ],
)
def test_something_from_elsewhere_is_found(element: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f'<a href="https://example.org">fine</a>{element}', encoding="utf-8")
    assert len(from_elsewhere(tmp_path)) == 1


def test_a_style_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text('@import "https://example.org/b.css";', encoding="utf-8")
    assert from_elsewhere(tmp_path) == ["a.css: https://example.org/b.css"]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on this machine; gives its address, and the paths asked for that are not there."""
    missing: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", ONLY_FROM_HERE)
            super().end_headers()

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            missing.append(self.path)
            super().send_error(code, message, explain)

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", missing
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def browse(url: str, profile: Path) -> tuple[str, list[str]]:
    """Open a page in a browser that finds no other machine; returns its document, and what its console says."""
    command = [
        chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, re.findall(r'CONSOLE[^\]]*\] "(.*?)", source:', done.stderr, re.DOTALL)


@pytest.mark.browser
@pytest.mark.parametrize("page", ["index.html", "verdicts.html", "scenario-reference.html", "recipes-extending.html"])
def test_a_page_works_in_a_browser_without_a_network(site: Path, page: str, tmp_path: Path) -> None:
    with served(site) as (address, missing):
        document, said = browse(f"{address}/{page}", tmp_path)
    assert (said, missing) == ([], [])
    assert 'data-md-color-scheme="default"' in document
    assert 'class="md-nav__link md-nav__link--active"' in document
    assert "md-copyright" in document


@pytest.mark.browser
def test_the_browser_tells_of_what_it_cannot_load(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<script src="http://cdn.example.org/a.js"></script><img src="missing.png">', encoding="utf-8")
    with served(tmp_path) as (address, missing):
        _, said = browse(f"{address}/index.html", tmp_path / "profile")
    assert any("cdn.example.org" in message for message in said)
    assert "/missing.png" in missing
