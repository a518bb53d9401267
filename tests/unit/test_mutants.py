"""Mutation testing: where mistakes are planted, which are drawn, and what is said of a project whose tests miss some."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants.campaign import End, Ended
from tools.mutants.equivalent import Equivalent, outdated, read
from tools.mutants.report import score
from tools.mutants.sites import Site, draw, sites

ROOT = Path(__file__).parents[2]


def mutants(source: str) -> set[str]:
    """All mutants of a source of one line, without what is around what differs."""
    return {site.planted(source) for site in sites(source, "some.py")}


def test_a_comparison_has_its_boundary_moved_and_its_opposite() -> None:
    assert mutants("x = a < b") == {"x = a <= b", "x = a >= b"}
    assert mutants("x = a is not b") == {"x = a is b"}
    assert mutants("x = (a) not in b") == {"x = (a) in b"}


def test_operators_are_taken_for_each_other() -> None:
    assert mutants("x = a & ~b") == {"x = a | ~b", "x = a & b"}
    assert mutants("x = not (a or b)") == {"x = (a or b)", "x = not (a and b)"}
    assert mutants("x = (a  # a + b\n  - b)") == {"x = (a  # a + b\n  + b)"}


def test_small_numbers_are_off_by_one_and_large_ones_by_a_factor() -> None:
    assert mutants("x = 3") == {"x = 4", "x = 2"}
    assert mutants("x = 1_000_000") == {"x = 2000000", "x = 500000"}
    assert mutants("x = True") == {"x = False"}
    assert mutants("x = -1") == {"x = 1"}
    assert mutants("x = y[-1]") == {"x = y[1]", "x = y[-2]"}


def test_functions_and_sides_are_taken_for_each_other() -> None:
    assert mutants("x = np.minimum.reduce(y)") == {"x = np.maximum.reduce(y)"}
    assert mutants("x = min(y)") == {"x = max(y)"}
    assert mutants("x = np.searchsorted(y, z)") == {'x = np.searchsorted(y, z, side="right")'}
    assert mutants('x = np.searchsorted(y, z, side="right")') == {'x = np.searchsorted(y, z, side="left")'}


def test_statements_are_forgotten_but_not_those_without_which_all_fails() -> None:
    assert mutants("x |= y") == {"x &= y", "pass"}
    assert mutants("x[y] = z") == {"pass"}
    assert mutants("f(y)") == {"pass"}
    assert mutants("x = y") == mutants("self.x = y") == set()


def test_conditions_are_taken_for_their_opposite() -> None:
    assert mutants("if a:\n    x = y") == {"if not (a):\n    x = y"}
    assert mutants("x = [y for y in z if y.good]") == {"x = [y for y in z if not (y.good)]"}


def test_what_no_test_could_see_is_no_site() -> None:
    unseen = [
        '"""1 + 1"""',
        "x: dict[str, int | None]",
        'x = f"{a + 1}"',
        "assert a < b",
        "x = zip(a, b, strict=True)",
        "class Place(IntEnum):\n    FIRST = 1",
        "@dataclass(frozen=True)\nclass Place:\n    pass",
    ]
    assert {source: mutants(source) for source in unseen} == {source: set() for source in unseen}


def test_a_site_knows_its_function_and_the_lines_of_its_statement() -> None:
    source = "class Judge:\n    def decide(self):\n        return [\n            1,\n        ]\n"
    (site,) = sites(source, "some.py")
    assert (site.function, site.line, site.lines, site.before, site.after) == ("Judge.decide", 4, (3, 5), "1", "2")


def test_columns_after_letters_of_several_bytes_are_right() -> None:
    assert mutants('x = f("é", a < b)') == {'x = f("é", a <= b)', 'x = f("é", a >= b)'}


def test_a_seed_draws_the_same_mutants_from_each_file_by_its_share() -> None:
    by_file = {"a.py": sites("x = 1\n" * 30, "a.py"), "b.py": sites("x = 1\n" * 10, "b.py")}
    drawn = draw(by_file, 20, seed=3)
    assert len(set(drawn)) == 20
    assert [site.file for site in drawn].count("a.py") == 15
    assert drawn == draw(by_file, 20, seed=3) != draw(by_file, 20, seed=4)
    assert len(draw(by_file, 999, seed=1)) == 40


RULES = '''\
"""Rules."""

LIMIT = 3


def is_late(hours, *, least=5):
    return hours > LIMIT and hours >= least


def of_none(hours):
    return hours * 2


def far(hours):
    while hours < 100:
        hours = hours + 50
    return hours
'''
TESTS = """\
from toy.rules import far, is_late

def test_five_hours_are_late():
    assert is_late(5) and not is_late(1)

def test_far_ends():
    assert far(0) == 100
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A project with rules, and tests that miss some mistakes."""
    for name, text in {"toy/rules.py": RULES, "toy/__init__.py": "", "tests/test_rules.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def campaign(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    of_toy = ["--root", str(project), "--rules", "toy/*.py", "--tests", "tests/test_*.py"]
    command = [sys.executable, "-m", "tools.mutants", "--seed", "1", "--verbose", *of_toy, *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def ends(output: str) -> dict[str, str]:
    """By mutant, how it ended."""
    found = {}
    for line in output.splitlines():
        if " s " in line and " in: " in line:
            end, _, rest = line.partition(" s ")[2].partition(" toy/rules.py:")
            found[rest.partition(" in: ")[0]] = end.strip()
    return found


@pytest.mark.seconds
def test_mistakes_that_no_test_notices_are_survivors(toy: Path) -> None:
    done = campaign(toy)
    assert ends(done.stdout) == {
        "3 3 -> 4": "survived",  # a constant is another one in every module that has imported it
        "3 3 -> 2": "survived",
        "6 5 -> 6": "killed",
        "6 5 -> 4": "survived",
        "7 > -> >=": "survived",
        "7 > -> <=": "killed",
        "7 and -> or": "survived",
        "7 >= -> >": "killed",
        "7 >= -> <": "killed",
        "11 * -> +": "not covered",
        "11 2 -> 3": "not covered",
        "11 2 -> 1": "not covered",
        "15 < -> <=": "killed",
        "15 < -> >=": "killed",
        "15 100 -> 101": "killed",
        "15 100 -> 99": "survived",
        "16 + -> -": "timed out",
        "16 50 -> 51": "killed",
        "16 50 -> 49": "killed",
    }
    assert "9 killed, 1 timed out, 9 survived, 0 equivalent, 0 not tried: 52.6% killed" in done.stdout
    assert done.returncode == 1


@pytest.mark.seconds
def test_a_project_whose_tests_fail_by_themselves_is_refused(toy: Path) -> None:
    (toy / "tests/test_rules.py").write_text(TESTS + "\ndef test_wrong():\n    assert is_late(2)\n")
    done = campaign(toy)
    assert "tests/test_rules.py::test_wrong" in done.stderr
    assert done.returncode == 1
    assert ends(done.stdout) == {}


def a_site(before: str = "3", after: str = "4") -> Site:
    return Site("toy/rules.py", RULES.index("3"), RULES.index("3") + 1, after, before, "", 3, None, "LIMIT")


def an_entry(**changes: object) -> Equivalent:
    fields = {
        "file": "toy/rules.py",
        "function": "",
        "line": "LIMIT = 3",
        "before": "3",
        "after": ("4",),
        "reason": "why",
    }
    return Equivalent(**fields | changes)  # type: ignore[arg-type]


def test_an_equivalent_mutant_is_no_survivor_and_refuted_where_a_test_kills_it() -> None:
    sources, listed = {"toy/rules.py": RULES}, [an_entry()]
    survived, killed = Ended(a_site(), End.SURVIVED, 1), Ended(a_site(), End.KILLED, 1)
    other = Ended(a_site(after="2"), End.SURVIVED, 1)
    found = score([survived, other], listed, sources)
    assert (found.survivors, found.equivalent, found.rate) == ((other,), ((survived, listed[0]),), 0.0)
    assert score([killed], listed, sources).refuted == ((killed, listed[0]),)


def test_the_rate_counts_what_timed_out_as_killed_and_what_is_not_covered_as_survived() -> None:
    ended = [Ended(a_site(), end, 1) for end in (End.KILLED, End.KILLED, End.TIMED_OUT, End.NOT_COVERED, End.NOT_TRIED)]
    assert score(ended, [], {"toy/rules.py": RULES}).rate == 0.75


def test_an_entry_of_no_mutant_is_outdated() -> None:
    by_file, sources = {"toy/rules.py": sites(RULES, "toy/rules.py")}, {"toy/rules.py": RULES}
    gone = an_entry(line="LIMIT = 5")
    assert outdated([an_entry(), gone, an_entry(file="toy/gone.py")], by_file, sources) == [
        gone,
        an_entry(file="toy/gone.py"),
    ]


def test_every_equivalent_mutant_has_a_reason(tmp_path: Path) -> None:
    listed = tmp_path / "equivalent.toml"
    entry = '[[mutant]]\nfile = "a.py"\nfunction = ""\nline = "x = 1"\nbefore = "1"\nafter = "2"\n'
    listed.write_text(entry + 'reason = "why"\n')
    assert read(listed) == [Equivalent("a.py", "", "x = 1", "1", ("2",), "why")]
    listed.write_text(entry)
    with pytest.raises(ValueError, match="reason"):
        read(listed)


def test_the_equivalent_mutants_of_the_rules_are_mutants() -> None:
    listed = read(ROOT / "tests" / "mutants_equivalent.toml")
    sources = {entry.file: (ROOT / entry.file).read_text(encoding="utf-8") for entry in listed}
    assert outdated(listed, {file: sites(source, file) for file, source in sources.items()}, sources) == []
