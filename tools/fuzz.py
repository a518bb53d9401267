"""Throws malformed input, damaged files, hostile brokers and signals at `chaos`, and writes the table of docs/reliability.md.

`python -m tools.fuzz [--seed N] [--only NAME]... [--short]`. Exits with 1 if anything ended out of order; each case is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from tests.fuzz.fuzzer import Fuzzer, Row, all_fuzzers, table
from tools.pages import write_table


def main(options: Sequence[str]) -> int:
    """Try everything; returns the exit code."""
    fuzzers = all_fuzzers()
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="the seed of all attempts")
    parser.add_argument("--only", action="append", choices=[each.name for each in fuzzers], help="one fuzzer")
    parser.add_argument("--short", action="store_true", help="as many attempts as CI makes; the page stays as it is")
    chosen = parser.parse_args(options)
    wanted = [fuzzer for fuzzer in fuzzers if not chosen.only or fuzzer.name in chosen.only]
    counts = [fuzzer.short if chosen.short else fuzzer.long for fuzzer in wanted]
    with ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        rows = list(pool.map(_tried, wanted, repeat(chosen.seed), counts))
    _print(table(rows))
    if not (chosen.short or chosen.only):
        write_table("reliability.md", "fuzz", f"{table(rows)}\nSeed {chosen.seed}.\n")
    return int(any(row.worst for row in rows))


def _tried(fuzzer: Fuzzer, seed: int, count: int) -> Row:
    row, began = Row(fuzzer.name), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-fuzz-") as folder:
        for attempt in fuzzer.attempts(random.Random(f"{seed} {fuzzer.name}"), count, Path(folder)):
            row.add(attempt)
            if attempt.flaws:
                _print(f"{fuzzer.name}, attempt {row.tried} of seed {seed}: {attempt}")
    _print(f"{fuzzer.name}: {row.tried:,} attempts in {time.monotonic() - began:.0f} s, {len(row.worst)} out of order")
    return row


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
