"""Which brokers the variants of a command run on: the pool's where they may be shared, else their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.cli.options import BrokerOption, say
from harness.cli.several import SHARED
from harness.errors import BrokerError

if TYPE_CHECKING:
    from harness.broker.making import MakeBroker
    from harness.broker.pool import BrokerPool
    from harness.broker.protocol import Broker, BrokerSettings
    from harness.ledger import Ledger
    from harness.scenario.load import Loaded


_shared: BrokerPool | None = None
"""The pool of the outermost block of `pooled` that is under way."""


@contextmanager
def pooled() -> Iterator[BrokerPool]:
    """Give the brokers that the runs of the block have one after the other. Blocks within it have the same ones, and they end with it."""
    from harness.broker.pool import BrokerPool

    global _shared  # noqa: PLW0603 - commands that one process does after each other have nothing else in common
    if _shared is not None:
        yield _shared
        return
    pool = _shared = BrokerPool()
    try:
        yield pool
    finally:
        _shared = None
        try:
            pool.close()
        except BrokerError as error:
            say(f"clean-up: {error}; `chaos clean` removes what is left")


def broker_maker(
    loaded: Loaded,
    option: BrokerOption,
    pool: BrokerPool,
    *,
    fresh: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
) -> MakeBroker:
    """Return what makes the brokers of a scenario's variants: of their own, or the pool's where they may be shared."""

    def make(settings: BrokerSettings, ledger: Ledger) -> tuple[Broker, str]:
        return option.make(loaded.scenario.broker, loaded.path, settings, ledger, tell)

    backend = option.backend or loaded.scenario.broker.backend
    return make if fresh or backend in SHARED else pool.maker(make, backend)
