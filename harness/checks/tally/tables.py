"""Tables: arrays of one length, one for each column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Table:
    """Base: a dataclass whose fields are its columns."""

    def extended(self, tables: Iterable[Self]) -> Self:
        """Put tables below this one, in their order."""
        parts = [self, *tables]
        return type(self)(
            **{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(self)}
        )
