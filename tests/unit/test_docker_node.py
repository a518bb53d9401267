"""A container whose processes are not frozen at the first try."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import APIError

from harness.broker.docker_node import FREEZES_TRIED, DockerNode
from harness.errors import BrokerError

GAVE_UP = "Cannot pause container abc: OCI runtime pause failed: unable to freeze: unknown"


class Container:
    """It refuses to be paused some times, for a reason."""

    def __init__(self, refusals: int, reason: str = GAVE_UP) -> None:
        self.asked = 0
        self._refusals, self._reason = refusals, reason

    def pause(self) -> None:
        self.asked += 1
        if self.asked <= self._refusals:
            raise APIError("500 Server Error", explanation=self._reason)


def node(container: Any) -> DockerNode:
    return DockerNode(container, "rabbit@n1")


def test_a_freeze_that_was_given_up_is_tried_again() -> None:
    container = Container(3)
    node(container).pause()
    assert container.asked == 4


def test_one_that_never_comes_about_is_told() -> None:
    container = Container(1000)
    with pytest.raises(BrokerError, match=r"pausing rabbit@n1 failed: .*unable to freeze"):
        node(container).pause()
    assert container.asked == FREEZES_TRIED


def test_another_refusal_is_told_at_once() -> None:
    container = Container(1, "Container abc is not running")
    with pytest.raises(BrokerError, match="is not running"):
        node(container).pause()
    assert container.asked == 1
