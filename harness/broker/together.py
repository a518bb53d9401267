"""Acting on several at once: each is begun before any is waited for.

Nodes of a cluster wait for each other when they boot, so that one which is waited for before the next is started never comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from harness.errors import BrokerError

Name = TypeVar("Name")
Result = TypeVar("Result")


def together(act: Callable[[Name], Result], names: Sequence[Name]) -> list[Result]:
    """Do something to each of several nodes, or processes, and wait for all; returns the results in their order.

    Raises what was raised, once all are done; BrokerErrors of several nodes in one.
    """
    if len(names) < 2:
        return [act(name) for name in names]
    with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="together") as threads:
        done = [threads.submit(act, name) for name in names]
    errors = [error for each in done if (error := each.exception()) is not None]
    failed = [error for error in errors if isinstance(error, BrokerError)]
    if len(failed) > 1 and len(failed) == len(errors):
        raise BrokerError("; ".join(dict.fromkeys(str(error) for error in failed))) from failed[0]
    return [each.result() for each in done]
