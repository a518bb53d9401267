"""Words that commands, verdicts and reports share."""

from __future__ import annotations


def plural(count: int, word: str, several: str = "") -> str:
    """Write `1 worker kill`, `2 worker kills`, or `several` where an s at the end does not make the plural."""
    return f"{count:,} {word if count == 1 else several or word + 's'}"


def rate_bound(bound: float) -> str:
    """Write an upper bound on a loss rate: `below 0.006%`."""
    return f"below {100 * bound:.2g}%"
