"""Which drawn runs are tried: a few of every shape of topology.

For a long run or a replay ORACLE_FIRST_SEED and ORACLE_SEEDS (how many) choose other seeds, and ORACLE_SHAPE one shape.
"""

from __future__ import annotations

import os

import pytest

from tests.oracle.shapes import SHAPES

FIRST = int(os.environ.get("ORACLE_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("ORACLE_SEEDS", "3")))
SHAPE = os.environ.get("ORACLE_SHAPE")
AT_ONCE = SEEDS if "ORACLE_SEEDS" in os.environ else SEEDS[:1]
CASES = [
    pytest.param(shape, seed, marks=[] if seed in AT_ONCE else [pytest.mark.slow])
    for shape in ([SHAPE] if SHAPE else sorted(SHAPES))
    for seed in SEEDS
]
"""Pairs of shape and seed. Every change runs the first seed of each shape; the nightly run has the others."""
