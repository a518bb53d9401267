from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import HistoryError
from harness.history.records import Kind
from harness.trend import store
from harness.trend.rows import COLUMNS, Row, rows_of
from harness.trend.store import SCHEMA, append, compact, read
from tests.unit import report_samples as samples

pytestmark = pytest.mark.seconds

DOCUMENT = Path(__file__).parents[2] / "docs" / "trend-schema.md"


def rows(run_id: str = "one", *, night: str = "n1", hours: int = 0) -> tuple[Row, ...]:
    sample = samples.passing()
    began = datetime(2026, 11, 24, 9, tzinfo=UTC) + timedelta(hours=hours)
    run = replace(sample.run, started_at=began.isoformat())
    return rows_of(run, sample.histories, run_id=run_id, night=night)


def test_a_row_for_each_variant_with_the_verdicts_figures() -> None:
    guarantee, transient, _ = rows()
    assert (guarantee.variant, guarantee.control, guarantee.lost, guarantee.loss_rate) == ("guarantee", False, 0, 0.0)
    assert (transient.variant, transient.control, transient.settings) == (
        "transient messages",
        True,
        "publishers.persistent: false",
    )
    assert (transient.promised, transient.lost, transient.loss_rate) == (40, 5, 5 / 40)
    assert transient.processed == 35
    assert transient.recovery_s == samples.passing().run.variants[1].faults[0].recovery_s is not None
    assert guarantee.started_at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_the_loss_rate_is_that_of_copies_where_a_message_has_several() -> None:
    sample = samples.fan_out()
    (row,) = rows_of(sample.run, sample.histories, run_id="one", night="n1")
    assert (row.published, row.promised, row.processed, row.lost, row.loss_rate) == (20, 20, 33, 7, 7 / 40)


def test_throughput_is_completions_over_the_time_that_they_took() -> None:
    sample = samples.passing()
    history = sample.histories["guarantee"]
    times = [
        at
        for log in history.of_role("worker")
        for at, kind in zip(log.records["at_ns"].tolist(), log.records["kind"].tolist(), strict=True)
        if kind == Kind.COMPLETED
    ]
    expected = len(times) * 1e9 / (max(times) - history.zero_ns)
    assert rows()[0].throughput == pytest.approx(expected)
    (without,) = rows_of(replace(sample.run, variants=sample.run.variants[:1]), {}, run_id="x", night="n")
    assert without.throughput is None


def test_without_a_fault_there_is_no_outage_figure() -> None:
    sample = samples.passing()
    variant = replace(sample.run.variants[0], faults=())
    (row,) = rows_of(replace(sample.run, variants=(variant,)), {}, run_id="x", night="n")
    assert (row.outage_publishers_s, row.outage_workers_s, row.recovery_s) == (None, None, None)
    assert rows()[0].outage_workers_s is not None


def test_what_is_appended_is_read_again_exactly_in_the_order_of_time(tmp_path: Path) -> None:
    later, earlier = rows("b", hours=2), rows("a", hours=1)
    append(tmp_path, later)
    append(tmp_path, earlier)
    assert read(tmp_path) == store.Stored((*earlier, *later), ())
    assert len(list(tmp_path.iterdir())) == 2, "nothing temporary is left"


def test_hostile_and_broken_text_is_kept(tmp_path: Path) -> None:
    (row, *_) = rows()
    append(tmp_path, [replace(row, scenario=samples.HOSTILE, file="half \udcff")])
    (found,) = read(tmp_path).rows
    assert found.scenario == samples.HOSTILE
    assert found.file == "half \\udcff"


def test_a_store_below_a_folder_whose_name_is_not_utf_8_is_written_and_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"trend\xff")
    append(folder, rows())
    assert read(folder).rows == rows()
    assert read(folder).warnings == ()


def test_nothing_is_appended_and_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    assert append(tmp_path / "none", ()) is None
    assert not (tmp_path / "none").exists()
    assert read(tmp_path / "none") == store.Stored((), ())


def test_what_cannot_be_read_is_left_out_with_a_warning(tmp_path: Path) -> None:
    append(tmp_path, rows())
    good = next(tmp_path.glob("*.parquet"))
    content = good.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "text.parquet").write_text("no Parquet at all")
    (tmp_path / "flipped.parquet").write_bytes(content[:4] + bytes(200) + content[204:])
    table = pq.read_table(good)
    pq.write_table(pa.table({"other": [1]}), tmp_path / "other.parquet")
    old = table.set_column(0, SCHEMA.field(0), pa.array([0] * len(table), pa.int32()))
    pq.write_table(old, tmp_path / "old.parquet")
    pq.write_table(table.drop_columns("lost"), tmp_path / "fewer.parquet")
    append(tmp_path / "odd", [replace(rows()[0], outcome="splendid")])
    next((tmp_path / "odd").iterdir()).rename(tmp_path / "odd.parquet")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "notes.txt").write_text("left alone")
    found = read(tmp_path)
    assert found.rows == rows()
    told = {re.search(r"(\w+)\.parquet was left out: .+", warning)[1] for warning in found.warnings}  # type: ignore[index]
    assert told == {"cut", "empty", "text", "flipped", "other", "old", "fewer", "odd", "folder"}
    assert any("schema version 0; this harness reads 1 to 3" in warning for warning in found.warnings)


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "trend").write_text("a file")
    with pytest.raises(HistoryError, match=r"the trend could not be written to .*trend"):
        append(tmp_path / "trend", rows())


APPENDING = """
import sys
from pathlib import Path
from harness.trend.store import append
from tests.unit.test_trend_store import rows
for number in range(10):
    append(Path(sys.argv[1]), rows(f"{sys.argv[2]}-{number}"))
"""


def test_several_processes_append_at_once_and_lose_nothing(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", APPENDING, str(tmp_path), name], cwd=DOCUMENT.parents[1])
        for name in ("a", "b")
    ]
    while any(process.poll() is None for process in processes):
        assert read(tmp_path).warnings == (), "a reader never sees half a file"
    assert [process.returncode for process in processes] == [0, 0]
    assert len({row.run_id for row in read(tmp_path).rows}) == 20


def test_putting_files_together_changes_no_row(tmp_path: Path) -> None:
    for number in range(5):
        append(tmp_path, rows(f"{number}", hours=number))
    (tmp_path / "broken.parquet").write_text("kept: it may be of a newer harness")
    before = read(tmp_path)
    compact(tmp_path)
    assert read(tmp_path) == before
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert compact(tmp_path) is None


def test_appends_and_compactions_at_once_lose_nothing(tmp_path: Path) -> None:
    def work(number: int) -> None:
        append(tmp_path, rows(str(number)))
        if number % 5 == 0:
            compact(tmp_path)
        assert any(row.run_id == str(number) for row in read(tmp_path).rows)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    assert {row.run_id for row in read(tmp_path).rows} == {str(number) for number in range(60)}


def test_a_store_of_many_files_is_put_together_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_FILES", 3)
    for number in range(8):
        append(tmp_path, rows(str(number)))
    assert len(list(tmp_path.glob("*.parquet"))) <= 4
    assert len({row.run_id for row in read(tmp_path).rows}) == 8


def test_the_documented_columns_are_the_columns() -> None:
    documented = re.findall(r"^\| (\w+) \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)[1:]
    assert documented == [(field.name, str(field.type)) for field in SCHEMA]
    assert tuple(SCHEMA.names) == COLUMNS
