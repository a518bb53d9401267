"""The scripts of a page, each with the hash by which the page's policy lets it run, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bokeh.util.paths import bokehjs_path
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Script:
    """One script element."""

    text: Markup
    """What stands between its tags, to the byte."""
    source: str
    """How a Content-Security-Policy names it: `sha256-…`."""


@cache
def chart_scripts() -> tuple[Script, ...]:
    """Return what draws a page's charts: the one bundle of the chart library that plain figures need, and what feeds it."""
    bundle = (bokehjs_path() / "js" / "bokeh.min.js").read_text(encoding="utf-8")
    return (_script(bundle), own_script("charts.js"))


@cache
def own_script(name: str) -> Script:
    """Return one of the scripts that lie beside the templates."""
    return _script((files("harness.report") / "templates" / name).read_text(encoding="utf-8"))


def _script(text: str) -> Script:
    # A browser reads every line end as a newline before it hashes.
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")
    digest = hashlib.sha256(text.encode()).digest()
    return Script(Markup(text), f"sha256-{base64.b64encode(digest).decode()}")  # noqa: S704 - comes from a package
