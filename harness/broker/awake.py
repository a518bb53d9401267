"""Keeping processors from sleeping while a node boots: the Erlang VM hands every file it reads to another thread and waits for it.

On a virtual machine, waking a processor that sleeps costs more than reading the file: of the 6.6 s that a boot took on two of
them, it takes 2.7 s with processors that stay awake.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
"""Whoever holds it open bounds the time that a processor may take to wake up, in microseconds as a 32-bit integer, for the whole machine; the
bound goes when it is closed, or its holder dies. Source: Linux, Documentation/power/pm_qos_interface.rst."""
_AT_ONCE = bytes(4)


@contextmanager
def processors_awake(device: Path = DEVICE) -> Iterator[None]:
    """Have processors poll for work instead of sleeping, where this user may ask for it; elsewhere nothing is different."""
    with ExitStack() as stack:
        try:
            held = stack.enter_context(device.open("wb", buffering=0))
            held.write(_AT_ONCE)
        except OSError:
            stack.close()
        yield
