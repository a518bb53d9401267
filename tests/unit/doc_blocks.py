"""The blocks of a Markdown page, and what is wrong with them: commands that do not exist, scenarios that do not load.

What each language of a block means is said in CONTRIBUTING.md. A page is checked from its top to its end in a folder of its own, so that
a command finds the files that earlier blocks and commands made.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import typer
from distributed.cli import dask_scheduler, dask_worker
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.options import BrokerOption
from harness.errors import ChaosError, ScenarioError
from harness.faults.registry import actions
from harness.scenario.load import load

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PART: Final = "# part of a scenario"
REST: Final = {"name": "a part", "publishers": {"messages": 20_000}, "workers": {"count": 2}}
"""What completes a part of a scenario, key by key."""
LANGUAGES: Final = frozenset({"console", "yaml", "python", "toml", "diff", "text"})
CHEAP: Final = frozenset({"validate", "plan", "list", "schema", "init", "selftest"})
"""Commands that start no broker, and that are therefore executed."""
OUTPUT: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SHIPPED: Final = ("scenarios", "compose.yaml", ".ci")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    line: int
    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A line that begins with `$ `, and the output that the page shows for it."""

    line: int
    text: str
    output: str


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = []
    for token in MarkdownIt().parse(page):
        if token.type in ("fence", "code_block"):
            language, _, rest = token.info.strip().partition(" ")
            title = rest.strip().removeprefix('title="').removesuffix('"')
            found.append(Block((token.map or [0])[0] + 1, language, title, token.content))
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], ""))
        elif found:
            last = found.pop()
            found.append(Command(last.line, last.text, f"{last.output}{line}\n"))
    return found


def in_sentences(page: str) -> Iterator[tuple[int, str]]:
    """Find the commands that sentences and tables name: code that begins with `chaos `, with its line."""
    for token in MarkdownIt().enable("table").parse(page):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.startswith("chaos "):
                yield (token.map or [0])[0] + 1, child.content


def parse(arguments: list[str]) -> tuple[tuple[str, dict[str, Any]] | None, str]:
    """Parse a command line as `chaos` does, and do nothing: the command and its parameters, or what is wrong with it.

    Neither is given for what prints a help or a version.
    """
    called: list[tuple[str, dict[str, Any]]] = []

    def silent(name: str, callback: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(callback)
        def record(**params: Any) -> None:
            called.append((name, params))

        return record

    parser = typer.Typer(rich_markup_mode=None, add_completion=False)
    assert app.registered_callback is not None
    assert app.registered_callback.callback is not None
    parser.callback()(app.registered_callback.callback)
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        parser.command(name)(silent(name, command.callback))
    result = CliRunner().invoke(parser, arguments)
    return (called[0] if called else None), result.output if result.exit_code else ""


@dataclass
class Checker:
    """Checks one page in a folder of its own."""

    folder: Path
    foreign: frozenset[str] = frozenset()
    """Titles of scenarios that need more than the harness itself; somebody else checks them."""
    wrong: list[str] = field(default_factory=list)

    def check(self, page: str) -> list[str]:
        """Return what is wrong with a page, each with its line."""
        for name in SHIPPED:
            source, copy = ROOT / name, self.folder / name
            if not copy.exists():
                shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
        with contextlib.chdir(self.folder):
            for block in blocks(page):
                self._block(block)
            for line, text in in_sentences(page):
                self._command(Command(line, text, ""), whole=False)
        return self.wrong

    def _say(self, line: int, what: str) -> None:
        self.wrong.append(f"{line}: {what}")

    def _block(self, block: Block) -> None:
        if block.language not in LANGUAGES:
            self._say(block.line, f"{block.language or 'no language'} is none of {', '.join(sorted(LANGUAGES))}")
        elif block.language == "console":
            found = commands(block)
            if not found:
                self._say(block.line, "a console block without a command")
            for command in found:
                self._command(command, whole=True)
        elif block.language == "yaml":
            self._yaml(block)
        elif block.language == "text" and any(
            line.startswith(("$ ", "chaos ", "make ", "name:")) for line in block.text.splitlines()
        ):
            self._say(block.line, "a command or a scenario in a text block")

    def _yaml(self, block: Block) -> None:
        path = self.folder / (block.title or "block.yaml")
        if block.title in self.foreign:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block.text
        path.write_text(text, encoding="utf-8")
        if block.title.startswith(".github/workflows/"):
            self._workflow(block)
            return
        if path.name == "compose.yaml":
            self._compose(block)
            return
        if text.startswith(PART):
            given = YAML(typ="safe").load(text)
            for key in REST.keys() - given.keys():
                text += f"{key}: {REST[key]}\n"
            path = self.folder / "part.yaml"
            path.write_text(text, encoding="utf-8")
        try:
            warnings = load(path, actions()).warnings
        except ScenarioError as error:
            if not block.title.startswith("wrong"):
                self._say(block.line, str(error))
            return
        if block.title.startswith("wrong"):
            self._say(block.line, "is meant to be wrong, and is not")
        if bool(warnings) is not block.title.startswith("warned"):
            self._say(block.line, "\n".join(map(str, warnings)) or "is meant to be warned of, and is not")

    def _workflow(self, block: Block) -> None:
        for job in YAML(typ="safe").load(block.text)["jobs"].values():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    self._command(Command(block.line, line.removeprefix(".venv/bin/"), ""), whole=True)

    def _compose(self, block: Block) -> None:
        for name, service in YAML(typ="safe").load(block.text)["services"].items():
            fixed = any(re.fullmatch(r"127\.0\.0\.1:\d+:5672", str(port)) for port in service.get("ports", ()))
            if not fixed or "hostname" not in service:
                self._say(block.line, f"service {name} has no fixed AMQP port on 127.0.0.1, or no hostname")

    def _command(self, command: Command, *, whole: bool) -> None:
        text, _, target = command.text.partition(" > ")
        words = shlex.split(text)
        if words[0] == "chaos":
            self._chaos(command, words[1:], target, whole=whole)
            return
        match words:
            case ["make", *_]:
                done = _run("make", "--dry-run", *words[1:], cwd=ROOT)
            case ["pytest", *_]:
                collect = ("-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *words[1:])
                done = _run(sys.executable, *collect, cwd=self.folder)
            case ["bash", *_]:
                done = _run("bash", "-n", *words[1:], cwd=self.folder)
            case ["dask", "scheduler" | "worker" as kind, *arguments]:
                self._dask(command, kind, arguments)
                return
            case _:
                self._say(command.line, f"nothing is known of the program {words[0]}")
                return
        if done.returncode != 0:
            self._say(command.line, f"{command.text}: {(done.stderr or done.stdout).strip()}")

    def _dask(self, command: Command, kind: str, arguments: list[str]) -> None:
        program = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[kind]
        try:
            program.make_context(kind, arguments).close()
        except click.ClickException as error:
            self._say(command.line, f"{command.text}: {error.format_message()}")

    def _chaos(self, command: Command, arguments: list[str], target: str, *, whole: bool) -> None:
        called, said = parse(arguments)
        if called is None:
            if said and (whole or "Missing argument" not in said):
                self._say(command.line, f"{command.text}: {said}")
            return
        name, params = called
        try:
            self._files(params)
        except (ChaosError, FileNotFoundError) as error:
            self._say(command.line, f"{command.text}: {error}")
            return
        if whole and name in CHEAP:
            self._execute(command, arguments, target)

    def _files(self, params: dict[str, Any]) -> None:
        """Raise for files that a command reads and that do not exist."""
        option = BrokerOption.parse(params.get("broker"))
        named = [*(params.get("scenarios") or ()), *([option.compose_file] if option.compose_file else [])]
        for path in named:
            if not path.exists():
                raise FileNotFoundError(f"{path} does not exist")
        if option.compose_file and option.service:
            services = YAML(typ="safe").load(option.compose_file.read_text(encoding="utf-8"))["services"]
            if option.service not in services:
                raise FileNotFoundError(f"{option.compose_file} has no service {option.service}")

    def _execute(self, command: Command, arguments: list[str], target: str) -> None:
        result = CliRunner().invoke(app, arguments)
        output = result.output
        if isinstance(result.exception, ChaosError):
            output += f"{result.exception}\n"
        if target:
            Path(target).write_text(output, encoding="utf-8")
        elif command.output and not doctest.OutputChecker().check_output(command.output, output, OUTPUT):
            self._say(command.line, f"{command.text} says\n{output}and not\n{command.output}")
        elif result.exit_code != 0 and not command.output:
            self._say(command.line, f"{command.text} failed: {output or result.exception!r}")


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
