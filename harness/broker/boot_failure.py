"""Why a broker did not boot: the telling lines of its log, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_LINES = 2
LONGEST = 400
_PREFIX = re.compile(r"^(?:\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d[\d.+:\-Z]* (?:\[(?P<level>\w+)\] )?(?:<[\d.]+> )?")
"""What stands before a line of RabbitMQ's log, in all its versions: time, level, Erlang process."""
_SAYS_NOTHING = re.compile(
    r"[\s=#*\-_|/\\.]*|BOOT FAILED|Error during startup.*|\{?\"?init terminating.*|(supervisor|crasher|initial call|errorContext)\b.*",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"eaddrinuse|eacces|enospc|\bin use\b|you've tried to set|error transforming|cannot|could not|failed to|unable|not_found|no such"
    r"|invalid|conflict|corrupt|\bpermission|denied|missing|mismatch|inconsisten|incompatible|must be",
    re.IGNORECASE,
)
_NESTED = re.compile(r"\(#?[\[{].*[\]}]\)")
"""An Erlang term handed to a function: long, and the reason stands behind it."""
_REPORT = re.compile(r"(reason|exception|CRASH REPORT|Supervisor)\b|(\w+:)?[{\[]")
"""Erlang's own reports and terms say the same again, and in its own words."""
_LONGEST_TERM = 400
_ERROR = ("error", "critical", "alert", "emergency")


def clashed(text: str) -> bool:
    """Whether a port was taken: another choice of ports may succeed."""
    return re.search(r"eaddrinuse|\bin use\b", text, re.IGNORECASE) is not None


def reason(log: str) -> str:
    """Return why the boot failed that a log tells of: its telling error lines, else its error lines, else its last line."""
    errors: list[str] = []
    others: list[str] = []
    for prefix, line in _lines(log):
        if _SAYS_NOTHING.fullmatch(line):
            continue
        is_error = (prefix is not None and prefix["level"] in _ERROR) or line.lower().startswith("error")
        is_error = is_error and not _REPORT.match(line)
        (errors if is_error else others).append(_NESTED.sub("(…)", line))
    choices = ([line for line in lines if _TELLING.search(line)] for lines in (errors, others))
    chosen = list(dict.fromkeys(next(filter(None, choices), errors or others[-1:])))[:MOST_LINES]
    text = re.sub(r"\s+", " ", "; ".join(chosen)) or "its log is empty"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _lines(log: str) -> Iterator[tuple[re.Match[str] | None, str]]:
    """Yield each line's prefix, if it has one, and its text; an Erlang term over several lines is one line."""
    term = ""
    for raw in log.splitlines():
        prefix = _PREFIX.match(raw)
        line = (raw[prefix.end() :] if prefix else raw).strip().removeprefix("- ")
        term = f"{term} {line}" if term else line
        if len(term) < _LONGEST_TERM and _open(term):
            continue
        yield prefix, term
        term = ""
    if term:
        yield None, term


def _open(term: str) -> bool:
    return sum(map(term.count, "{[")) > sum(map(term.count, "}]"))
