"""`make screenshot`: docs/report.png, the first screen of the report of a run that fails, on a real broker."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from harness.errors import ExitCode
from tests.browser import opened

PICTURE = Path(__file__).parents[1] / "docs" / "report.png"
MOST_BYTES = 300_000
SCENARIO = """\
name: worker kill
description: A worker is killed while it holds deliveries that the broker has already forgotten.
publishers: {messages: 3000, confirms: {window: 200}}
workers: {count: 3, acks: automatic, prefetch: 50, work: 2ms}
timeline:
  - after: {processed: 600}
    kill: {worker: holding deliveries, back_after: 500ms}
expect: {lost: 0}
controls:
  manual acks:
    set: {workers.acks: manual}
    expect: {lost: 0, redelivered: ">= 1"}
"""


def main(reports: Path | None) -> None:
    """Run the scenario (or take the newest run of a folder), open its report, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        if reports is None:
            Path(folder, "worker_kill.yaml").write_text(SCENARIO, encoding="utf-8")
            command = [sys.executable, "-m", "harness", "run", "worker_kill.yaml", "--quiet"]
            code = subprocess.run(command, cwd=folder, check=False).returncode
            if code != ExitCode.VIOLATED:
                sys.exit(f"the run ended with exit code {code}; it must be violated")
            reports = Path(folder, "reports")
        with opened(reports / "latest" / "report.html", width=1200, height=1900) as found:
            found.charts()
            found.page.screenshot(path=PICTURE)
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE.name}: {size:,} bytes\n")
    if size > MOST_BYTES:
        sys.exit(f"the picture is larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
