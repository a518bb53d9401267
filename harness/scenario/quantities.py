"""Durations, sizes and comparisons as people write them: `2ms`, `1 KiB`, `>= 1`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from harness.scenario.base import Form
from harness.scenario.mistake import shown

_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_SIGN = r"(?:<=|>=|==|<|>|=)"
_COUNT = r"\d{1,3}(?:,\d{3})+|\d[\d_]{0,17}"
_TIME = rf"{_NUMBER}\s*(?:us|ms|s|m|h)|0"
_SHARE = rf"{_NUMBER}\s*%"

_DURATION = re.compile(rf"^\s*({_NUMBER})\s*(us|ms|s|m|h)\s*$")
_SIZE = re.compile(r"^\s*(\d{1,12})\s*(B|KB|MB|KiB|MiB)\s*$")

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {"B": 1, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
_LONGEST_S: Final = 366 * 24 * 3600.0
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}

QUANTITY: Final = "x-quantity"
"""Marks a quantity in the JSON Schema: its name there, and its form in words."""

A_DURATION: Final = "a duration such as 500ms, 2s or 1m"
A_SIZE: Final = "a size such as 256B, 1KiB or 1MB"
A_COUNT: Final = 'a count or a comparison, such as 0, ">= 1" or 1..5'
A_RATIO: Final = 'a ratio or a comparison, such as "<= 1.5" or 1..2'
A_SHARE: Final = 'a share or a comparison, such as ">= 60%" or 40%..60%'
A_TIME: Final = 'a comparison with a duration, such as "< 500ms" or 1s..2s'


def parse_duration(value: object) -> float:
    """Read `2ms`, `1.5s`, `2m` or a plain number of seconds. Returns seconds; raises ValueError."""
    seconds = math.nan
    if isinstance(value, str) and (match := _DURATION.match(value)):
        seconds = float(match[1]) * _SECONDS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if 0 <= value <= _LONGEST_S else math.nan  # an integer may be too large for a float
    if not 0 <= seconds <= _LONGEST_S:
        raise ValueError(f"must be {A_DURATION}, not {shown(value)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Write seconds as a person would: `2 ms`, `1.50 s`, `2.0 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min"


def write_duration(seconds: float) -> str | float:
    """Write seconds so that `parse_duration` reads exactly the same number again, with a unit where that can be."""
    if seconds == 0:
        return "0s"
    for unit in ("m", "s", "ms", "us"):
        text = f"{seconds / _SECONDS[unit]:.15g}{unit}"
        if _DURATION.match(text) and not text.startswith("0.") and parse_duration(text) == seconds:
            return text
    return seconds


def parse_size(value: object) -> int:
    """Read `256B`, `1 KiB` or a plain number of bytes. Returns bytes; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.match(value)):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError(f"must be {A_SIZE}, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a figure must be: bounds that all must hold. Keeps the text for messages."""

    text: str
    bounds: tuple[tuple[str, float], ...]

    def holds(self, value: float) -> bool:
        """Whether `value` fulfils every bound."""
        return all(_OPERATORS[sign](value, bound) for sign, bound in self.bounds)

    def holds_for_all(self, low: float, high: float) -> bool:
        """Whether every figure from `low` to `high`, both included, fulfils it: what fulfils it has no gaps, so its ends decide."""
        return self.holds(low) and self.holds(high)

    def holds_for_none(self, low: float, high: float) -> bool:
        """Whether no figure from `low` to `high`, both included, fulfils it.

        If one does, then an end does, or a bound that lies between them.
        """
        inside = (bound for _, bound in self.bounds if low < bound < high)
        return not any(self.holds(value) for value in (low, high, *inside))

    @property
    def least(self) -> float:
        """No value below it fulfils the comparison: its lower bound, 0 if it has none."""
        return max((bound for sign, bound in self.bounds if sign in (">", ">=", "==")), default=0.0)

    @property
    def at_least(self) -> Comparison:
        """What it asks for at the least: its lower bounds alone."""
        lower = tuple(
            (">=" if sign == "==" else sign, bound) for sign, bound in self.bounds if sign in (">", ">=", "==")
        )
        return Comparison(self.text, lower)

    def __str__(self) -> str:
        """Give the comparison as it was written."""
        return self.text


@dataclass(frozen=True, slots=True)
class _Notation:
    """One kind of comparison: how its figures look, and what they are worth."""

    figure: str
    number: Callable[[str], float]
    form: str

    @property
    def pattern(self) -> str:
        """Of the whole comparison, for the JSON Schema; a range or a figure with an optional sign."""
        return rf"^\s*(?:(?:{self.figure})\s*\.\.\s*(?:{self.figure})|{_SIGN}?\s*(?:{self.figure}))\s*$"

    def parse(self, value: object) -> Comparison:
        """Read a comparison; raises ValueError."""
        if isinstance(value, Comparison):
            return value
        text = str(value)
        if not isinstance(value, bool) and isinstance(value, str | int | float):
            if between := re.match(rf"^\s*({self.figure})\s*\.\.\s*({self.figure})\s*$", text):
                low, high = self.number(between[1]), self.number(between[2])
                if low > high:
                    raise ValueError(f"{shown(text)} is an empty range: its first figure is the greater one")
                return Comparison(text, ((">=", low), ("<=", high)))
            if match := re.match(rf"^\s*({_SIGN})?\s*({self.figure})\s*$", text):
                sign = {"=": "==", None: "=="}.get(match[1], match[1])
                return Comparison(text, ((sign, self.number(match[2])),))
        raise ValueError(f"must be {self.form}, not {shown(text)}" if value is not None else f"must be {self.form}")


def _plain(text: str) -> float:
    return float(text.replace("_", "").replace(",", ""))


_COUNTS: Final = _Notation(_COUNT, _plain, A_COUNT)
_RATIOS: Final = _Notation(_NUMBER, float, A_RATIO)
_SHARES: Final = _Notation(_SHARE, lambda text: float(text.rstrip("% ")) / 100, A_SHARE)
_TIMES: Final = _Notation(_TIME, lambda text: 0.0 if text == "0" else parse_duration(text), A_TIME)


def parse_count(value: object) -> Comparison:
    """Read a comparison of counts: `0`, `>= 1`, `1..5`."""
    return _COUNTS.parse(value)


def parse_ratio(value: object) -> Comparison:
    """Read a comparison of ratios: `<= 1.5`."""
    return _RATIOS.parse(value)


def parse_share(value: object) -> Comparison:
    """Read a comparison of shares; bounds are fractions of 1: `>= 60%`."""
    return _SHARES.parse(value)


def parse_time(value: object) -> Comparison:
    """Read a comparison of durations; bounds are seconds: `< 500ms`."""
    return _TIMES.parse(value)


def _write_comparison(comparison: Comparison) -> str | int:
    return int(comparison.text) if re.fullmatch(r"0|[1-9]\d{0,17}", comparison.text) else comparison.text


def _schema(title: str, pattern: str, plain: dict[str, Any] | None, form: str, examples: list[Any]) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    either = {"anyOf": [plain, text]} if plain is not None else text
    return WithJsonSchema({QUANTITY: f"{title}: {form}"} | either | {"examples": examples})


_WHOLE: Final = {"type": "integer", "minimum": 0}
_REAL: Final = {"type": "number", "minimum": 0}

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, when_used="json"),
    Form(A_DURATION),
    _schema("Duration", _DURATION.pattern, _REAL | {"maximum": _LONGEST_S}, A_DURATION, ["2ms", "1.5s"]),
]
"""Seconds."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Form(A_SIZE),
    _schema("Size", _SIZE.pattern, _WHOLE, A_SIZE, ["256B", "1KiB"]),
]
"""Bytes."""

CountComparison = Annotated[
    Comparison,
    BeforeValidator(parse_count),
    PlainSerializer(_write_comparison, when_used="json"),
    Form(A_COUNT),
    _schema("Count", _COUNTS.pattern, _WHOLE, A_COUNT, [0, ">= 1", "1..5"]),
]
RatioComparison = Annotated[
    Comparison,
    BeforeValidator(parse_ratio),
    PlainSerializer(_write_comparison, when_used="json"),
    Form(A_RATIO),
    _schema("Ratio", _RATIOS.pattern, _REAL, A_RATIO, ["<= 1.5"]),
]
ShareComparison = Annotated[
    Comparison,
    BeforeValidator(parse_share),
    PlainSerializer(_write_comparison, when_used="json"),
    Form(A_SHARE),
    _schema("Share", _SHARES.pattern, None, A_SHARE, [">= 60%"]),
]
TimeComparison = Annotated[
    Comparison,
    BeforeValidator(parse_time),
    PlainSerializer(_write_comparison, when_used="json"),
    Form(A_TIME),
    _schema("Time", _TIMES.pattern, {"const": 0}, A_TIME, ["< 500ms"]),
]
