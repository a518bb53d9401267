"""`python -m tools.mutants`: plants mistakes in the judge's rules and sees whether the tests notice. Exit code 1 if too few are noticed."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tools.mutants.campaign import Campaign, CampaignError, End, Ended
from tools.mutants.equivalent import outdated, read
from tools.mutants.report import one_line, report, score
from tools.mutants.sites import draw, sites

RULES: Final = ("harness/checks/rules/*.py",)
TESTS: Final = (
    "tests/unit/test_checks_*.py",
    "tests/unit/test_effects.py",
    "tests/unit/test_selftest.py",
    "tests/oracle/test_judge*.py",
)
"""The tests that judge histories: without brokers, and without the nightly ones."""
EQUIVALENT: Final = "tests/mutants_equivalent.toml"
LEAST_KILLED: Final = 0.9
ENVIRONMENT: Final = {"HYPOTHESIS_PROFILE": "repeatable", "ORACLE_SEEDS": "1"}
"""What makes the tests repeatable and quick."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="how many mutants are drawn (400)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="what draws them (by chance)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried at once (2)")
    parser.add_argument("--minutes", type=float, default=60, help="after that no further mutant is tried (60)")
    parser.add_argument("--only", action="append", default=[], metavar="FILE", help="only the mutants of these files")
    parser.add_argument("--verbose", action="store_true", help="print each mutant, not only those that no test notices")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the project (this one)")
    parser.add_argument("--rules", nargs="+", default=RULES, metavar="PATTERN", help="files to plant mistakes in")
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="PATTERN", help="files of tests that must notice")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run a campaign; returns the exit code."""
    chosen, begun_s = options(arguments), time.monotonic()
    os.chdir(chosen.root)
    sys.path.insert(0, str(chosen.root.resolve()))
    os.environ.update(ENVIRONMENT)  # before the tests are imported
    sources = {file: Path(file).read_text(encoding="utf-8") for file in _files(chosen.rules)}
    every = {file: sites(source, file) for file, source in sources.items()}
    by_file = {file: each for file, each in every.items() if _is_chosen(file, chosen.only)}
    entries = read(Path(EQUIVALENT)) if Path(EQUIVALENT).exists() else []
    drawn = draw(by_file, chosen.count, chosen.seed)
    _say(f"{len(drawn)} of {sum(map(len, by_file.values()))} mutants of {len(by_file)} files, --seed {chosen.seed}")

    def progress(ended: Ended) -> None:
        if chosen.verbose or ended.end in (End.SURVIVED, End.NOT_COVERED):
            _say(f"{time.monotonic() - begun_s:6.0f} s {one_line(ended, sources)}")

    quietly = ["--override-ini=addopts=", "-qq", "--no-summary", "--capture=no", "-p", "no:cacheprovider"]
    campaign = Campaign(
        drawn,
        sources,
        chosen.jobs,
        begun_s + chosen.minutes * 60,
        progress,
        [*quietly, "-m", "not nightly", *_files(chosen.tests)],
    )
    pytest.main([*campaign.arguments], plugins=[campaign])
    if campaign.broken:
        raise CampaignError(campaign.broken)
    found = score(campaign.ended, entries, sources)
    _say("\n".join(report(found, sources)))
    for entry in outdated(entries, every, sources):
        _say(f"{EQUIVALENT} lists what is no mutant any more, take it out: {entry.file}: {entry.line}")
    _say(f"{len(drawn)} mutants, --seed {chosen.seed}, {(time.monotonic() - begun_s) / 60:.1f} minutes")
    return 0 if not found.not_tried and not found.refuted and found.rate >= LEAST_KILLED else 1


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))


def _is_chosen(file: str, only: Sequence[str]) -> bool:
    return not only or any(Path(file).match(each) for each in only)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CampaignError as wrong:
        sys.exit(f"no mutant says anything: {wrong}")
