"""What a machine lacks is a reason to skip a test, but where CI demands that all of them run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(why: str) -> NoReturn:
    """Skip a test; fail it where CHAOS_TEST_REQUIRE_BACKENDS says that none may be skipped for what the machine lacks."""
    if os.environ.get("CHAOS_TEST_REQUIRE_BACKENDS") == "1":
        pytest.fail(f"must be tested here: {why}")
    pytest.skip(why)
