"""Durations, sizes and comparisons as people write them: `2ms`, `1 KiB`, `>= 1`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)\s*$")
_SIZE = re.compile(r"^\s*(\d+)\s*(B|KB|MB|KiB|MiB)\s*$")
_COMPARISON = re.compile(r"^\s*(<=|>=|==|<|>|=)?\s*(\S.*?)\s*$")
_RANGE = re.compile(r"^\s*(\S+?)\s*\.\.\s*(\S+?)\s*$")

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {"B": 1, "KB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


def parse_duration(value: object) -> float:
    """Read `2ms`, `1.5s`, `2m` or a plain number of seconds. Returns seconds; raises ValueError."""
    if isinstance(value, bool) or value is None:
        raise ValueError("a duration is a number with a unit, such as 500ms, 2s or 1m")
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError("a duration cannot be negative")
        return float(value)
    match = _DURATION.match(str(value))
    if match is None:
        raise ValueError(f"{value!r} is no duration; write a number with a unit, such as 500ms, 2s or 1m")
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """Write seconds as a person would: `2 ms`, `1.50 s`, `2.0 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min"


def parse_size(value: object) -> int:
    """Read `256B`, `1 KiB` or a plain number of bytes. Returns bytes; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size cannot be negative")
        return value
    match = _SIZE.match(str(value))
    if match is None:
        raise ValueError(f"{value!r} is no size; write a whole number with a unit, such as 256B, 1KiB or 1MB")
    return int(match[1]) * _BYTES[match[2]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a figure must be: bounds that all must hold. Keeps the text for messages."""

    text: str
    bounds: tuple[tuple[str, float], ...]

    def holds(self, value: float) -> bool:
        """Whether `value` fulfils every bound."""
        return all(_OPERATORS[sign](value, bound) for sign, bound in self.bounds)

    def __str__(self) -> str:
        """Give the comparison as it was written."""
        return self.text


def _parse_comparison(value: object, number: Callable[[str], float], example: str) -> Comparison:
    if isinstance(value, Comparison):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(f"write a figure or a comparison, such as {example}")
    text = str(value)
    if between := _RANGE.match(text):
        low, high = number(between[1]), number(between[2])
        if low > high:
            raise ValueError(f"{text!r} is an empty range")
        return Comparison(text, ((">=", low), ("<=", high)))
    match = _COMPARISON.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no comparison; write one such as {example}")
    sign = {"=": "==", None: "=="}.get(match[1], match[1])
    return Comparison(text, ((sign, number(match[2])),))


def _plain(example: str) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            return float(text.replace("_", "").replace(",", ""))
        except ValueError:
            raise ValueError(f"{text!r} is no number; write a comparison such as {example}") from None

    return number


def _percent(text: str) -> float:
    if not text.endswith("%"):
        raise ValueError(f"{text!r} is no share; write a percentage, such as >= 60%")
    return _plain(">= 60%")(text[:-1]) / 100


def _seconds(text: str) -> float:
    return parse_duration(float(text) if text == "0" else text)


def parse_count(value: object) -> Comparison:
    """Read a comparison of counts: `0`, `>= 1`, `1..5`."""
    return _parse_comparison(value, _plain('0, ">= 1" or 1..5'), '0, ">= 1" or 1..5')


def parse_ratio(value: object) -> Comparison:
    """Read a comparison of ratios: `<= 1.5`."""
    return _parse_comparison(value, _plain('"<= 1.5"'), '"<= 1.5"')


def parse_share(value: object) -> Comparison:
    """Read a comparison of shares; bounds are fractions of 1: `>= 60%`."""
    return _parse_comparison(value, _percent, '">= 60%" or 40%..60%')


def parse_time(value: object) -> Comparison:
    """Read a comparison of durations; bounds are seconds: `< 500ms`."""
    return _parse_comparison(value, _seconds, '"< 500ms" or 1s..2s')


def _schema(kind: str, pattern: str, description: str, examples: list[Any]) -> WithJsonSchema:
    plain = {"type": kind, "minimum": 0}
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [plain, text], "description": description, "examples": examples})


_BOUND = r"^\s*(<=|>=|==|<|>|=)?\s*\S.*$"

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _schema("number", _DURATION.pattern, "A duration: a number with a unit (us, ms, s, m, h).", ["2ms", "1.5s"]),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    _schema("integer", _SIZE.pattern, "A size: a number with a unit (B, KB, MB, KiB, MiB).", ["256B", "1KiB"]),
]
CountComparison = Annotated[
    Comparison,
    BeforeValidator(parse_count),
    _schema("integer", _BOUND, "A count, or a comparison with one.", [0, ">= 1", "1..5"]),
]
RatioComparison = Annotated[
    Comparison,
    BeforeValidator(parse_ratio),
    _schema("number", _BOUND, "A ratio, or a comparison with one.", ["<= 1.5"]),
]
ShareComparison = Annotated[
    Comparison, BeforeValidator(parse_share), _schema("number", _BOUND, "A comparison with a share.", [">= 60%"])
]
TimeComparison = Annotated[
    Comparison, BeforeValidator(parse_time), _schema("number", _BOUND, "A comparison with a duration.", ["< 500ms"])
]
