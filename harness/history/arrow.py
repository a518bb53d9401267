"""Arrow arrays straight from the memory of others: `pa.array` imports pandas, a quarter of a second, only to see that it is given none of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def numbers(values: np.ndarray, missing: np.ndarray | None = None, *, kind: pa.DataType | None = None) -> pa.Array:
    """Make an array of numbers, without a value where one is `missing`; of another type of the same size if `kind` says so."""
    return _made(kind or pa.from_numpy_dtype(values.dtype), len(values), missing, np.ascontiguousarray(values))


def flags(values: np.ndarray) -> pa.Array:
    """Make an array of True and False."""
    return _made(pa.bool_(), len(values), None, _bits(values))


def texts(values: Sequence[str]) -> pa.Array:
    """Make an array of texts."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return _made(pa.string(), len(encoded), None, ends, b"".join(encoded))


def _made(kind: pa.DataType, size: int, missing: np.ndarray | None, *content: np.ndarray | bytes) -> pa.Array:
    there = None if missing is None else pa.py_buffer(_bits(~missing))
    return pa.Array.from_buffers(kind, size, [there, *map(pa.py_buffer, content)])


def _bits(values: np.ndarray) -> np.ndarray:
    return np.packbits(values, bitorder="little")
