"""Which drawn runs are tried: a few of every shape of topology.

For a long run or a replay ORACLE_FIRST_SEED and ORACLE_SEEDS (how many) choose other seeds, and ORACLE_SHAPE one shape.
"""

from __future__ import annotations

import os

from tests.oracle.shapes import SHAPES

FIRST = int(os.environ.get("ORACLE_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("ORACLE_SEEDS", "3")))
SHAPE = os.environ.get("ORACLE_SHAPE")
CASES = [(shape, seed) for shape in ([SHAPE] if SHAPE else sorted(SHAPES)) for seed in SEEDS]
"""Shape and seed of each."""
