"""While a broker boots, the harness only waits: it imports and prepares then what the end of the run needs, and sweeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from harness.engine.background import Background
from harness.events import Event, Phase, PhaseChanged

LEAD_S = 0.3
"""How long the thread that starts the broker has the processor for itself."""


class WarmUp:
    """A listener that prepares the judging and the reports during the first boot, and is done before any traffic."""

    def __init__(self, also: Callable[[], None] = lambda: None) -> None:
        """Prepare nothing yet; do something else as well, `also`; what it raises is raised by `close`."""
        self._also = also
        self._work: Background | None = None
        self._waited_for = threading.Event()

    def __call__(self, event: Event) -> None:
        """Begin when a broker is about to boot; wait for the end where the boot was shorter."""
        match event:
            case PhaseChanged(phase=Phase.PROVISION) if self._work is None:
                self._work = Background(self._run, "warm-up")
            case PhaseChanged(phase=Phase.TRAFFIC):
                self.close()
            case _:
                pass

    def close(self) -> None:
        """Wait until all is prepared."""
        self._waited_for.set()
        if self._work is not None:
            self._work.wait()

    def _run(self) -> None:
        self._waited_for.wait(LEAD_S)
        _prepare()
        self._also()


def _prepare() -> None:
    # What is missing or broken is told by whoever needs it at the end, as without this.
    with suppress(Exception):
        import harness.checks.judge
        import harness.engine.live_log
        import harness.engine.resume
        import harness.history.parquet
        import harness.report.write
        import harness.trend.rows
        import harness.trend.store
        import harness.verdict.as_json  # noqa: F401
        from harness.report.html import prepare

        prepare()
