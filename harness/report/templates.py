"""The pages' templates: everything is escaped, every text from outside is made plain, figures are written in one way."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.plain import colour, lines, plain, shortened
from harness.report import figures
from harness.report.summary import expected, missing_control, observed_or_asked, standing
from harness.verdict.data import Outcome
from harness.verdict.words import plural, rate_bound


@cache
def environment() -> Environment:
    """Return the templates' environment."""
    found = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": lambda value: figures.NOTHING if value is None else f"{value:,}",
        "seconds": figures.seconds,
        "clock": figures.clock,
        "share": figures.share,
        "bound": rate_bound,
        "plural": plural,
        "processed": figures.processed,
        "figure": figures.figure,
        "lost_figure": figures.lost_figure,
        "otherwise": lambda counts: sum(counts.fates[fate] for fate in figures.not_done_otherwise(counts)),
        "not_done_otherwise": figures.not_done_otherwise,
        "matter_most": figures.matter_most,
        "several_copies": figures.several_copies,
        "outage_s": lambda outage: outage.end_s - outage.begin_s,
        "mood": mood,
        "told": observed_or_asked,
        "standing": standing,
        "expected": expected,
        "missing_control": missing_control,
        "moment": _moment,
        "sentence": _sentence,
        "several_lines": lambda text: escape(lines(text)),
        "short": shortened,
        "css_colour": colour,
        "day": lambda moment: f"{moment:%-d %b %Y, %H:%M}",
    }
    return found


def mood(outcome: Outcome) -> str:
    """Return the CSS class of an outcome."""
    match outcome:
        case Outcome.AS_EXPECTED:
            return "good"
        case Outcome.VIOLATED:
            return "bad"
        case _:
            return "unsure"


def embedded_json(value: object) -> Markup:
    """Write JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704 - escaped


def packed_json(value: object) -> str:
    """Write JSON compressed, as Base64: charts say the same again and again, and a page shall stay small."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _harmless(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _sentence(text: str) -> Markup:
    """Set what stands between backticks as code."""
    parts = plain(text).split("`")
    if len(parts) % 2 == 0:
        return escape(plain(text))
    return Markup("").join(
        Markup("<code>%s</code>") % part if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def _moment(text: str) -> str:
    """Write an ISO 8601 time as a reader likes it; as it is where it is none."""
    try:
        return f"{datetime.fromisoformat(text):%-d %b %Y, %H:%M:%S %Z}"
    except ValueError:
        return text
