"""Why a broker did not boot: the telling lines of its log, in one sentence."""

from __future__ import annotations

import re

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
    r"|invalid|conflict|corrupt|permission|denied|missing|mismatch|inconsisten|incompatible|must be",
    re.IGNORECASE,
)
_NESTED = re.compile(r"\(#?[\[{].*[\]}]\)")
"""An Erlang term handed to a function: long, and the reason stands behind it."""
_REPORT = re.compile(r"(reason|exception|CRASH REPORT|Supervisor)\b|(\w+:)?[{\[]")
"""Erlang's own reports and terms say the same again, and in its own words."""
_ERROR = ("error", "critical", "alert", "emergency")


def clashed(text: str) -> bool:
    """Whether a port was taken: another choice of ports may succeed."""
    return re.search(r"eaddrinuse|\bin use\b", text, re.IGNORECASE) is not None


def reason(log: str) -> str:
    """Return why the boot failed that a log tells of: its telling error lines, else its error lines, else its last line."""
    errors: list[str] = []
    others: list[str] = []
    for raw in log.splitlines():
        prefix = _PREFIX.match(raw)
        line = (raw[prefix.end() :] if prefix else raw).strip().removeprefix("- ")
        if _SAYS_NOTHING.fullmatch(line):
            continue
        is_error = (prefix is not None and prefix["level"] in _ERROR) or line.lower().startswith("error")
        is_error = is_error and not _REPORT.match(line)
        (errors if is_error else others).append(_NESTED.sub("(…)", line))
    choices = ([line for line in lines if _TELLING.search(line)] for lines in (errors, others))
    chosen = list(dict.fromkeys(next(filter(None, choices), errors or others[-1:])))[:MOST_LINES]
    text = re.sub(r"\s+", " ", "; ".join(chosen)) or "its log is empty"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
