"""Which drawn runs are tried: ORACLE_FIRST_SEED and ORACLE_SEEDS (how many) choose others than the usual few, for a long run or a replay;
ORACLE_SHAPE chooses one shape of topologies."""

from __future__ import annotations

import os

FIRST = int(os.environ.get("ORACLE_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("ORACLE_SEEDS", "30")))
SHAPE = os.environ.get("ORACLE_SHAPE")
