"""While a broker boots, the harness only waits: it imports and prepares then what the end of the run needs."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread

from harness.events import Event, Phase, PhaseChanged


class Ahead:
    """A listener that prepares the judging and the reports during the first boot, and is done before any traffic."""

    def __init__(self) -> None:
        """Prepare nothing yet."""
        self._thread: Thread | None = None

    def __call__(self, event: Event) -> None:
        """Begin when a broker is about to boot; wait for the end where the boot was shorter."""
        match event:
            case PhaseChanged(phase=Phase.PROVISION) if self._thread is None:
                self._thread = Thread(target=_prepare, name="ahead", daemon=True)
                self._thread.start()
            case PhaseChanged(phase=Phase.TRAFFIC):
                self.close()
            case _:
                pass

    def close(self) -> None:
        """Wait until all is prepared."""
        if self._thread is not None:
            self._thread.join()


def _prepare() -> None:
    # What is missing or broken is told by whoever needs it at the end, as without this.
    with suppress(Exception):
        import harness.checks.judge
        import harness.checks.verdict_json
        import harness.history.parquet
        import harness.report.write
        import harness.trend.rows
        import harness.trend.store  # noqa: F401
        from harness.report.html import prepare

        prepare()
