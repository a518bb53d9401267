"""How many examples a property is tried with: as many as it says, or EXAMPLES_OF_100 of each hundred where tests are run again and again."""

from __future__ import annotations

import os

_OF_100 = int(os.environ.get("EXAMPLES_OF_100", "100"))


def examples(count: int) -> int:
    """As many as are asked for, or the share of them that the environment names."""
    return max(1, count * _OF_100 // 100)
