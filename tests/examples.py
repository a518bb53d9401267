"""How many examples a property is tried with: as many as it says, or EXAMPLES_OF_100 for each hundred, as at night."""

from __future__ import annotations

import os

import pytest
from _pytest.mark.structures import ParameterSet

_OF_100 = int(os.environ.get("EXAMPLES_OF_100", "100"))


def examples(count: int) -> int:
    """As many as are asked for, or the share of them that the environment names."""
    return max(1, count * _OF_100 // 100)


def rounds(count: int, *, of: int) -> list[ParameterSet]:
    """Number the rounds of a test that is left to chance: the first ones are of every change, all others of the night."""
    return [pytest.param(each, marks=[] if each < count else [pytest.mark.slow]) for each in range(of)]
