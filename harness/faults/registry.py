"""The known faults: the harness's own, and those that other packages add by entry point.

A package adds one by an entry point of the group `chaos_harness.faults` that names a subclass of
`harness.faults.base.Fault`; its key in the scenario is the class's `name`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from harness.errors import UsageError
from harness.faults.base import Fault
from harness.faults.connection import CloseConnections
from harness.faults.process import Kill, Pause, Restart, Resume, Stop
from harness.faults.scale import Scale
from harness.faults.topology import Declare, Publish, Purge

GROUP = "chaos_harness.faults"

BUILT_IN: tuple[type[Fault], ...] = (
    Kill,
    Stop,
    Restart,
    Pause,
    Resume,
    Scale,
    CloseConnections,
    Declare,
    Publish,
    Purge,
)


@cache
def actions() -> dict[str, type[Fault]]:
    """Return every known fault by its name in the scenario; raises UsageError for a plug-in that does not fit."""
    found: dict[str, type[Fault]] = {fault.name: fault for fault in BUILT_IN}
    for point in entry_points(group=GROUP):
        fault = point.load()
        if not (isinstance(fault, type) and issubclass(fault, Fault)):
            raise UsageError(f"the entry point {point.name!r} of {GROUP} names {fault!r}, which is not a Fault class")
        if fault.name in found:
            raise UsageError(f"the entry point {point.name!r} of {GROUP} defines {fault.name!r}, which exists already")
        found[fault.name] = fault
    return found
