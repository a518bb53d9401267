"""Opening a Parquet file that may be damaged: what it claims is held against its size before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HistoryError
from harness.files import open_file, reason

ROWS_ANYWAY: Final = 100_000
ROWS_PER_BYTE: Final = 64
"""What a file may hold at the most: a history that a machine made, as regular as can be, has ten rows in a byte."""
WRITTEN: Final[dict[str, Any]] = {"compression": "zstd", "write_page_checksum": True}
"""How files are written: a flipped bit is told as one."""


@contextmanager
def parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a file, and read it in the block. Raises HistoryError, which says what is wrong and not which file that was."""
    try:
        with open_file(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            size, rows = path.stat().st_size, file.metadata.num_rows
            if not 0 <= rows <= ROWS_ANYWAY + ROWS_PER_BYTE * size:
                raise HistoryError(f"it claims {rows:,} rows in {size:,} bytes")
            yield file
    except (OSError, ValueError) as error:
        raise HistoryError(reason(error)) from error
    except (pa.ArrowException, OverflowError, MemoryError) as error:
        raise HistoryError(str(error).partition("\n")[0] or type(error).__name__) from error
