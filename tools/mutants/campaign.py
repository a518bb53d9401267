"""All mutants of a campaign, as a plugin of one pytest run that imports and collects everything once.

pytest collects the tests, then this takes the place of its loop over them. Each trial is a fork: one that runs all tests under
coverage.py, then one for each mutant, which plants the mistake in the imported module and runs the tests that cover it, the quickest
first, until one fails. Constants are set at import, so a mutant of one forgets the modules of the project and starts pytest again, in its
fork. What a test may take is time of a processor, so that a busy machine kills no mutant.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

import coverage
import pytest

from tools.mutants.covering import Covering, names_read
from tools.mutants.plant import plant_before_import, plant_in_function
from tools.mutants.sites import Site

PATIENCE: Final = 3
"""How much longer than without the mistake a test may take."""
LEAST_S: Final = 5
"""What a test may take in any case."""
IMPORTS_S: Final = 30
"""What importing all anew may take."""


class End(Enum):
    """How a mutant ended."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_COVERED = "not covered"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a mutant."""

    site: Site
    end: End
    tests: int
    """How many cover it."""


class CampaignError(Exception):
    """The tests fail without any mistake, or the tool does."""


_PASSED, _FAILED, _BROKEN = 0, 1, 70
"""Exit codes of a trial."""


@dataclass
class Campaign:
    """Tries the mutants of some sites; a pytest plugin."""

    sites: Sequence[Site]
    sources: Mapping[str, str]
    """By file."""
    jobs: int
    deadline_s: float
    """On time.monotonic(): no trial begins after it."""
    progress: Callable[[Ended], None]
    arguments: Sequence[str]
    """Those that pytest was started with."""
    ended: list[Ended] = field(default_factory=list)
    broken: str = ""
    """Why there is no result; pytest would make a report of an exception."""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all mutants instead of running the tests."""
        try:
            self._try_all(session)
        except CampaignError as wrong:
            self.broken = str(wrong)
        return True

    def _try_all(self, session: pytest.Session) -> None:
        if session.testsfailed:
            raise CampaignError(f"{session.testsfailed} of the test modules cannot be collected")
        covering = measure(session, self.sources)
        running: dict[int, tuple[Site, int]] = {}
        for site in self.sites:
            tests = covering.of(site)
            if not tests:
                self._end(Ended(site, End.NOT_COVERED, 0))
                continue
            while len(running) >= self.jobs:
                self._wait(running)
            if time.monotonic() > self.deadline_s:
                self._end(Ended(site, End.NOT_TRIED, len(tests)))
                continue
            costs_s = {test: covering.cost_s[test] for test in tests}
            running[fork(partial(self._try, session, site, costs_s))] = (site, len(tests))
        while running:
            self._wait(running)

    def _try(self, session: pytest.Session, site: Site, costs_s: Mapping[str, float]) -> bool:
        """Run tests on a mutant, in a fork; return whether all pass."""
        allow(IMPORTS_S)
        source = self.sources[site.file]
        if site.lines is not None:
            plant_in_function(site, source)
            return run(session, costs_s)
        plant_before_import(
            site, source, {Path(each).parts[0] for each in (*self.sources, *self.arguments) if each.endswith(".py")}
        )
        code = pytest.main([*self.arguments], plugins=[_Again(costs_s)])
        # A mutant that cannot even be imported is noticed by every test.
        return code is pytest.ExitCode.OK

    def _wait(self, running: dict[int, tuple[Site, int]]) -> None:
        pid, status = os.wait()
        site, tests = running.pop(pid)
        self._end(Ended(site, _end_of(status, site), tests))

    def _end(self, ended: Ended) -> None:
        self.ended.append(ended)
        self.progress(ended)


def _end_of(status: int, site: Site) -> End:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return End.TIMED_OUT
    code = os.waitstatus_to_exitcode(status)
    if code == _BROKEN:
        raise CampaignError(f"the trial of {site.file}:{site.line} failed; what it said is above")
    return End.SURVIVED if code == _PASSED else End.KILLED


@dataclass
class _Again:
    """A pytest plugin: chosen tests in a given order, until one fails."""

    costs_s: Mapping[str, float]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run them."""
        session.testsfailed += not run(session, self.costs_s)
        return True


def run(session: pytest.Session, costs_s: Mapping[str, float]) -> bool:
    """Run tests that were collected, in this order, until one fails; return whether none does. A value is what a test costs by itself."""
    by_id = {item.nodeid: item for item in session.items}
    items = [by_id[test] for test in costs_s]
    seen = _Failures()
    session.config.pluginmanager.register(seen)
    for item, following in zip(items, [*items[1:], None], strict=True):
        allow(LEAST_S + PATIENCE * costs_s[item.nodeid])
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if seen.failed:
            return False
    return True


class _Failures:
    """Listens for tests that fail."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self.failed.append(f"{report.nodeid}: {report.longreprtext}")


# Forks.


def allow(seconds: float) -> None:
    """Have this process killed when it takes more than some seconds of a processor from now on."""
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds), resource.RLIM_INFINITY))


def fork(trial: Callable[[], bool]) -> int:
    """Run a trial in a fork of this process, without output; return its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = _BROKEN
    try:
        complaints = os.fdopen(os.dup(2), "w")
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        code = _PASSED if trial() else _FAILED
    except BaseException:  # whatever it was, a fork must not go on as its parent
        complaints.write(traceback.format_exc())
        complaints.flush()
    os._exit(code)


def measure(session: pytest.Session, sources: Mapping[str, str]) -> Covering:
    """Run all tests in a fork and return what covers what. Raises CampaignError if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "covering.json"
        _, status = os.waitpid(fork(lambda: _measure(session, [*sources], result)), 0)
        if status:
            raise CampaignError("running the tests under coverage.py failed; what it said is above")
        found = json.loads(result.read_text())
    if found["failed"]:
        raise CampaignError("a test fails without any mistake:\n" + "\n".join(found["failed"]))
    tests = {
        file: {int(line): frozenset(tests) for line, tests in lines.items()} for file, lines in found["tests"].items()
    }
    return Covering(tests, found["cost_s"], names_read(sources))


def _measure(session: pytest.Session, files: Sequence[str], result: Path) -> bool:
    measured = coverage.Coverage(
        data_file=None, include=[str(Path(file).absolute()) for file in files], config_file=False
    )
    failures = _Failures()
    cost_s: dict[str, float] = {}
    session.config.pluginmanager.register(failures)
    measured.start()
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        measured.switch_context(item.nodeid)
        with _timed(item.nodeid, cost_s):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    measured.stop()
    data = measured.get_data()
    tests = {
        file: {line: [each for each in names if each] for line, names in lines.items()}
        for file in files
        if (lines := data.contexts_by_lineno(str(Path(file).absolute())))
    }
    result.write_text(json.dumps({"failed": failures.failed, "cost_s": cost_s, "tests": tests}))
    return True


@contextmanager
def _timed(test: str, cost_s: dict[str, float]) -> Iterator[None]:
    before = time.process_time()
    yield
    cost_s[test] = time.process_time() - before
