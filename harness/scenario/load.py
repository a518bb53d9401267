"""Load scenario files: all mistakes of all files at once, each with its place, before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from harness.errors import Problem, ScenarioError, Severity
from harness.scenario.check import Abilities, declared_abilities
from harness.scenario.document import Document, parse, read
from harness.scenario.mistake import MOST_MISTAKES, Mistake, dotted
from harness.scenario.scenario import GUARANTEE, BrokerModel, Scenario, scenario_model
from harness.scenario.timeline import Action
from harness.scenario.units import without_unit
from harness.scenario.validate import validate
from harness.scenario.variants import Variant, vary

Missing = Callable[[Path, BrokerModel], Iterable[Mistake]]
"""Finds what the broker of a scenario file needs and is not there."""


def nothing_missing(_file: Path, _broker: BrokerModel) -> tuple[Mistake, ...]:
    """Find nothing: for whoever will start no broker."""
    return ()


SUFFIXES: Final = (".yaml", ".yml")
"""Of the files that a folder is searched for; a file that is named may be called anything."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario file that is right, with what reports need of the file itself."""

    path: Path
    text: str
    scenario: Scenario
    remarks: tuple[Problem, ...] = field(repr=False)
    """Warnings and notes about it, in the order of the file: it runs all the same."""
    _variants: tuple[Variant, ...] = field(repr=False)
    _lines: Mapping[str, int] = field(repr=False)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings among the remarks."""
        return tuple(remark for remark in self.remarks if remark.severity is Severity.WARNING)

    def variants(self) -> tuple[Variant, ...]:
        """Return the runs that it asks for: the guarantee, then each control in the order of the file."""
        return self._variants

    def with_client(self, client: Literal["pika", "fast"]) -> Loaded:
        """Return it with all its variants speaking AMQP with one client, whatever they say themselves."""

        def speaking(scenario: Scenario) -> Scenario:
            return scenario.model_copy(update={"client": client})

        variants = tuple(replace(variant, scenario=speaking(variant.scenario)) for variant in self._variants)
        return replace(self, scenario=speaking(self.scenario), _variants=variants)

    def line_of(self, path: str) -> int | None:
        """Return the line of a path, e.g. `expect.lost`, counted from 1.

        For what the file leaves to its default, the line of what would be around it; None if that is the whole file.
        """
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            if (line := self._lines.get(".".join(parts[:end]))) is not None:
                return line
        return None


def load(path: Path, actions: Mapping[str, type[Action]], abilities: Abilities = declared_abilities) -> Loaded:
    """Load one scenario file.

    `actions` are the known actions by name; `abilities` tells what can be done to the broker that a scenario asks for.
    Raises ScenarioError with every mistake in the file.
    """
    return _right(*_load(path, scenario_model(actions), abilities))


def load_text(
    text: str, path: Path, actions: Mapping[str, type[Action]], abilities: Abilities = declared_abilities
) -> Loaded:
    """Load a text as the scenario file that it will be at `path`. Raises ScenarioError with every mistake in it."""
    return _right(*_load_text(text, path, scenario_model(actions), abilities))


def load_all(
    paths: Sequence[Path],
    actions: Mapping[str, type[Action]],
    abilities: Abilities = declared_abilities,
    missing: Missing = nothing_missing,
) -> tuple[Loaded, ...]:
    """Load files, and of folders all files named *.yaml or *.yml, by name; a file that is named twice counts once.

    `missing` finds what a scenario's broker needs of this machine's files and does not find there.
    Raises ScenarioError with every mistake in any of them.
    """
    model = scenario_model(actions)
    files, problems = _files(paths)
    loaded: list[Loaded] = []
    for file in files:
        one, wrong = _load(file, model, abilities, missing)
        problems += _told(wrong)
        if one is not None:
            loaded.append(one)
    if problems:
        raise ScenarioError(problems)
    return tuple(loaded)


def _files(paths: Sequence[Path]) -> tuple[tuple[Path, ...], list[Problem]]:
    files: dict[Path, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        found = [path]
        try:
            if path.is_dir():
                found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
                if not found:
                    problems.append(Problem(str(path), 0, 0, "", "is a folder without scenarios (*.yaml, *.yml)"))
            for file in found:
                files.setdefault(file.resolve(), file)
        except (OSError, RuntimeError) as error:
            problems.append(Problem(str(path), 0, 0, "", f"cannot be read: {error}"))
    return tuple(files.values()), problems


def _right(loaded: Loaded | None, problems: list[Problem]) -> Loaded:
    if loaded is None or problems:
        raise ScenarioError(_told(problems))
    return loaded


def _told(problems: list[Problem]) -> list[Problem]:
    """Put a file's mistakes in order; where there are very many, tell the first ones and say so."""
    told = sorted(problems)
    if len(told) <= MOST_MISTAKES:
        return told
    end = told[MOST_MISTAKES]
    return [*told[:MOST_MISTAKES], replace(end, path="", message=f"no more than {MOST_MISTAKES} mistakes are told")]


def _load(
    path: Path, model: type[Scenario], abilities: Abilities, missing: Missing = nothing_missing
) -> tuple[Loaded | None, list[Problem]]:
    text = read(path)
    return (None, [text]) if isinstance(text, Problem) else _load_text(text, path, model, abilities, missing)


def _load_text(
    text: str, path: Path, model: type[Scenario], abilities: Abilities, missing: Missing = nothing_missing
) -> tuple[Loaded | None, list[Problem]]:
    file = str(path)
    document = parse(text, file)
    if isinstance(document, Problem):
        return None, [document]
    problems = [
        Problem(file, place.line, place.column, dotted(mistake.path), mistake.message)
        for place, mistake in document.mistakes
    ]
    known = {mistake.path for _, mistake in document.mistakes}
    validated = validate(document.data if isinstance(document.data, dict) else {}, model, known)
    problems += (document.problem(file, mistake) for mistake in validated.mistakes)
    if validated.scenario is None:
        return None, problems
    varied = vary(validated.scenario, model, abilities)
    of_files = _missing(varied.variants, path, missing)
    own = (mistake for mistake in (*varied.mistakes, *of_files) if not validated.draft.is_consequence(mistake))
    problems += (document.problem(file, validated.in_file(mistake)) for mistake in own)
    said = () if problems else (*varied.remarks, *without_unit(validated.scenario, document.data))
    remarks = tuple(sorted(document.problem(file, validated.in_file(remark)) for remark in said))
    return Loaded(path, text, validated.scenario, remarks, varied.variants, _lines(document)), problems


def _missing(variants: Sequence[Variant], path: Path, missing: Missing) -> dict[Mistake, None]:
    """Find what a file's variants miss: of a control only what the guarantee does not miss."""
    found: dict[Mistake, None] = {}
    for variant in variants:
        for mistake in missing(path, variant.scenario.broker):
            if variant.name == GUARANTEE:
                found[mistake] = None
            elif mistake not in found:
                found[replace(mistake, path=("controls", variant.name, "set"))] = None
    return found


def _lines(document: Document) -> dict[str, int]:
    return {dotted(path): document.place(path, key=True).line for path in document.values if path}
