"""Keeping processors from sleeping while a node boots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.broker.awake import processors_awake


def holders(path: Path) -> int:
    """How many of this process's descriptors are of a file."""
    folder = Path("/proc/self/fd")
    return sum(os.path.realpath(each) == str(path) for each in folder.iterdir())


def test_the_bound_is_asked_for_as_long_as_it_is_wanted(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    with processors_awake(device):
        assert device.read_bytes() == b"\0\0\0\0"
        assert holders(device) == 1
    assert holders(device) == 0


def test_the_bound_goes_with_a_failure(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    with pytest.raises(KeyError), processors_awake(device):
        raise KeyError
    assert holders(device) == 0


def test_a_machine_without_it_and_a_user_who_may_not_are_no_worse_off(tmp_path: Path) -> None:
    done = []
    with processors_awake(tmp_path / "nothing"):
        done.append("without")
    with processors_awake(Path("/dev/full")):
        done.append("refused")
        assert holders(Path("/dev/full")) == 0
    assert done == ["without", "refused"]
