"""The bench reports medians and ratios of the rounds, and replaces its part of the page only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.table import BEGIN, END, PAGE, Bench, Measured, refresh

BENCH = Bench(
    broker="RabbitMQ 4.0.5",
    messages=1000,
    rounds=3,
    measured=(
        Measured("C", "classic", (100.0, 200.0, 400.0), (6.0, 9.0, 7.04)),
        Measured("ours", "classic", (90.0, 100.0, 300.0), (20.0, 30.0, 29.0), 65.4),
        Measured("ours", "quorum", (50.0, 60.0, 70.0), (1.0, 1.0, 1.0), 66.0),
    ),
)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert BENCH.ratio("ours", "C", "classic") == 0.75  # of 0.9, 0.5 and 0.75; that of the medians is 0.5
    assert BENCH.ratio("ours", "ours", "quorum") == 1.0


def test_what_was_not_measured_has_no_ratio() -> None:
    assert BENCH.ratio("ours", "C", "quorum") is None
    assert BENCH.ratio("ours", "Java", "classic") is None


def test_the_table_has_ratios_first() -> None:
    assert BENCH.table(("C",)).splitlines() == [
        "| client | queue | of C | messages a second | µs of processor a message | bytes a message |",
        "| --- | --- | --- | --- | --- | --- |",
        "| C | classic | 1.00 | 200 | 7.0 |  |",
        "| ours | classic | 0.75 | 100 | 29.0 | 65 |",
        "| ours | quorum |  | 60 | 1.0 | 66 |",
    ]


def test_the_results_are_kept_round_by_round(tmp_path: Path) -> None:
    kept = json.loads(BENCH.write(tmp_path).read_text(encoding="utf-8"))
    assert kept["measured"][0] == {
        "client": "C",
        "queue": "classic",
        "rates": [100.0, 200.0, 400.0],
        "processor_us": [6.0, 9.0, 7.04],
        "bytes_a_message": None,
    }
    assert kept["broker"] == "RabbitMQ 4.0.5"
    assert kept["machine"]["cores"] >= 1


def test_only_the_benchs_part_of_the_page_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert refresh(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert refresh(refresh(page, "new"), "newer") == refresh(page, "newer")
    with pytest.raises(ValueError, match="the page has no"):
        refresh("nothing here", "new")


def test_the_page_has_a_part_for_the_bench() -> None:
    refresh(PAGE.read_text(encoding="utf-8"), "new")
