"""A little of every fuzzer in CI, with another seed in every run, which a failure prints."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from harness.errors import ExitCode
from tests.fuzz.attempt import Answer, Attempt, Flaw
from tests.fuzz.fuzzer import Fuzzer, Row, all_fuzzers, table

SEED = int(os.environ.get("CHAOS_FUZZ_SEED", random.randrange(1 << 32)))


# Those that start a harness sweep what dead ones left, so never two at once.
@pytest.mark.xdist_group("sweep")
@pytest.mark.parametrize("fuzzer", all_fuzzers(), ids=lambda fuzzer: fuzzer.name)
def test_nothing_that_a_fuzzer_tries_ends_out_of_order(fuzzer: Fuzzer, tmp_path: Path) -> None:
    row = Row(fuzzer.name)
    for attempt in fuzzer.attempts(random.Random(f"{SEED} {fuzzer.name}"), fuzzer.short, tmp_path):
        row.add(attempt)
    assert row.tried == fuzzer.short
    assert not row.worst, f"CHAOS_FUZZ_SEED={SEED}\n" + "\n".join(map(str, row.worst[:5]))


GOOD = Answer(0, "fine\n", "")
ALLOWED = frozenset({ExitCode.AS_EXPECTED, ExitCode.USAGE})


@pytest.mark.parametrize(
    ("attempt", "flaw"),
    [
        (
            Attempt(
                "a",
                Answer(1, "", 'Traceback (most recent call last):\n  File "x"\nKeyError: 1\n'),
                ALLOWED | {ExitCode.VIOLATED},
            ),
            Flaw.TRACEBACK,
        ),
        (Attempt("a", Answer(1, "", ""), ALLOWED), Flaw.EXIT_CODE),
        (Attempt("a", Answer(-11, "", ""), ALLOWED), Flaw.EXIT_CODE),
        (Attempt("a", GOOD, ALLOWED, left=("process 7",)), Flaw.LEFT_BEHIND),
        (Attempt("a", Answer(0, "amqp://guest:hunter2@h", ""), ALLOWED, secrets=("hunter2",)), Flaw.SECRET),
        (Attempt("a", GOOD, ALLOWED, secrets=("hunter2",), files=("hunter2",)), Flaw.SECRET),
        (Attempt("a", Answer(0, "\x1b[2J", ""), ALLOWED), Flaw.CONTROL),
        (Attempt("a", Answer(0, "", "so\n::error file=x::planted"), ALLOWED), Flaw.CONTROL),
        (Attempt("a", Answer(None, "", ""), ALLOWED), Flaw.SLOW),
    ],
    ids=lambda value: value.value if isinstance(value, Flaw) else "",
)
def test_each_flaw_is_seen_where_it_is(attempt: Attempt, flaw: Flaw) -> None:
    assert attempt.flaws == {flaw}


def test_an_answer_in_order_has_no_flaw_and_the_table_counts_what_was_tried() -> None:
    rows = [Row("scenarios"), Row("brokers")]
    rows[0].add(Attempt("a", GOOD, ALLOWED))
    rows[1].add(Attempt("a", Answer(1, "", "\x07"), ALLOWED))
    assert table(rows).splitlines()[2:] == [
        "| scenarios | 1 | 0 | 0 | 0 | 0 | 0 | 0 |",
        "| brokers | 1 | 0 | 1 | 0 | 0 | 1 | 0 |",
    ]
