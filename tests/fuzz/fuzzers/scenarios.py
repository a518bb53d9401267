"""Scenarios with something wrong in them: keys, values, kinds, nesting, text and bytes, drawn by chance from scenarios that are right.

What is held against `chaos`: it takes a scenario for right or tells each mistake with a place that is in the file, `validate`, `plan` and
`list` agree, and none of it takes long. No broker is started: `run` is called only on what `validate` refused.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from harness.errors import ExitCode
from tests.fuzz.attempt import Answer, Attempt
from tests.fuzz.running import in_process
from tests.unit.scenario_samples import MISTAKES

ROOT: Final = Path(__file__).parents[3]
LONGEST_S: Final = 20.0
"""A bound for one command. A scenario of a megabyte takes a quarter of it, nearly all others a hundredth of a second."""
MOST_SIZE: Final = 3000
ALLOWED: Final = frozenset({ExitCode.AS_EXPECTED, ExitCode.USAGE})
PLACE: Final = re.compile(r"^(?P<file>.*scenario\.yaml)(?::(?P<line>\d+):(?P<column>\d+))?: ")

Data = Any
Change = Callable[[random.Random, Data], None]


@cache
def originals() -> tuple[Data, ...]:
    """Return scenarios as plain data: those that are shipped, and those that tests have mistakes of."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("scenarios/**/*.yaml"))]
    read = [_read(text) for text in (*texts, *(case.text for case in MISTAKES))]
    return tuple(each for each in read if isinstance(each, dict) and each)


@cache
def words() -> tuple[str, ...]:
    """Return every key and short text of the originals: what a wrong key is most likely to be."""
    found: set[str] = set()
    for each in originals():
        for holder, key in _places(each):
            found.update(word for word in (key, holder[key]) if isinstance(word, str) and len(word) < 30)
    return tuple(sorted(found))


def _read(text: str) -> Data:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except Exception:
        return None


def _places(data: Data) -> list[tuple[Any, Any]]:
    """Return every place of the data, as what holds it and its key there."""
    found: list[tuple[Any, Any]] = []
    todo = [data]
    while todo:
        here = todo.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        found += [(here, key) for key in keys]
        todo += [here[key] for key in keys]
    return found


TEXTS: Final = (
    "", " ", "\x1b[2J", "a\n::error file=x::planted", "\u202eevil", "\ud7ff", "☃" * 300, "x" * 5000, "null", "~", "true", "yes", "*a", "&a", "!!python/object:os.system",
    "<<", "1e400", "-.inf", ".nan", "0x" + "f" * 300, "9" * 5000, "-" + "9" * 400, "1_000", "5 s", "500ms", "-1s", ">= 1", "1..0", ">= >= 1", "60%", "1/0",
    "amq.topic", "..", "a.b.c", "any", "all", "holding deliveries", "worker-99999999999999999999", "0", "\uff11\uff12", "\u00b2",
)  # fmt: skip
NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    255,
    65536,
    2**31,
    2**63,
    2**64,
    10**18,
    -(10**400),
    10**400,
    10**4000,
    0.5,
    -0.0,
    1e308,
    1e-320,
    True,
    False,
    None,
)


def any_value(chance: random.Random) -> Data:
    """Draw a value of any kind."""
    match chance.randrange(8):
        case 0 | 1:
            return chance.choice(TEXTS)
        case 2 | 3:
            return chance.choice(NUMBERS)
        case 4:
            return chance.choice(words())
        case 5:
            return {chance.choice(words()): chance.choice(NUMBERS) for _ in range(chance.randrange(4))}
        case 6:
            return [chance.choice(TEXTS) for _ in range(chance.randrange(4))]
        case _:
            holder, key = chance.choice(_places(chance.choice(originals())))
            return copy.deepcopy(holder[key])


def _replace_value(chance: random.Random, data: Data) -> None:
    holder, key = chance.choice(_places(data))
    holder[key] = any_value(chance)


def _rename_key(chance: random.Random, data: Data) -> None:
    holders = [(holder, key) for holder, key in _places(data) if isinstance(holder, dict)]
    holder, key = chance.choice(holders)
    new = chance.choice((misspelt(chance, str(key)), chance.choice(words()), chance.choice(TEXTS)))
    if new not in holder:
        items = list(holder.items())
        holder.clear()
        holder.update((new if name == key else name, value) for name, value in items)


def misspelt(chance: random.Random, word: str) -> str:
    """Leave a letter out, double one, swap two, or change the case."""
    if not word:
        return "x"
    at = chance.randrange(len(word))
    return chance.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at:][::-1],
            word.upper(),
            f"{word}s",
        )
    )


def _remove(chance: random.Random, data: Data) -> None:
    holder, key = chance.choice(_places(data))
    del holder[key]


def _add(chance: random.Random, data: Data) -> None:
    holders = [
        each for each in (data, *(holder[key] for holder, key in _places(data))) if isinstance(each, dict | list)
    ]
    holder = chance.choice(holders)
    if isinstance(holder, MutableMapping):
        holder[chance.choice(words())] = any_value(chance)
    elif isinstance(holder, MutableSequence):
        holder.insert(chance.randrange(len(holder) + 1), any_value(chance))


def _move(chance: random.Random, data: Data) -> None:
    holder, key = chance.choice(_places(data))
    value = holder.pop(key)
    others = [each for each in (data, *(one[name] for one, name in _places(data))) if isinstance(each, dict)]
    chance.choice(others)[str(key)] = value


def _wrap(chance: random.Random, data: Data) -> None:
    holder, key = chance.choice(_places(data))
    for _ in range(chance.choice((1, 1, 2, 50))):
        holder[key] = chance.choice(([holder[key]], {"x": holder[key]}))


def _many(chance: random.Random, data: Data) -> None:
    """Make one of something thousands: queues, keys, steps, tasks, names that are nothing's."""
    size = chance.randrange(100, MOST_SIZE)
    match chance.randrange(5):
        case 0:
            data["queues"] = {f"queue-{number}": {} for number in range(size)}
        case 1:
            data["publishers"] = {"tasks": [f"task {number}" for number in range(size)]}
        case 2:
            data["timeline"] = [{"at": number, "kill": f"worker-{number}"} for number in range(size)]
        case 3:
            data["expect"] = {"processed_by": {f"worker-{number}": number for number in range(size)}}
        case _:
            data.update({f"ke{number}y": number for number in range(size)})


CHANGES: Final[tuple[Change, ...]] = (
    *(_replace_value,) * 6, *(_rename_key,) * 6, *(_remove,) * 3, *(_add,) * 4, *(_move,) * 3, _wrap,
)  # fmt: skip


def scenario(chance: random.Random) -> bytes:
    """Draw a scenario file that has been changed a little."""
    data = copy.deepcopy(chance.choice(originals()))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        if _places(data):
            chance.choice(CHANGES)(chance, data)
    if chance.random() < 0.01:
        _many(chance, data)
    text = json.dumps(data, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, 1)))
    content = text.encode("utf-8", errors="surrogatepass")
    return _mangled(chance, content) if chance.random() < 0.1 else content


def _mangled(chance: random.Random, content: bytes) -> bytes:
    """Change the bytes themselves."""
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        (
            content[:at],
            content[:at] + bytes(chance.randrange(256) for _ in range(3)) + content[at:],
            content[:at] + content[at + 1 :],
            b"\xef\xbb\xbf" + content,
            content.decode("utf-8", errors="replace").encode("utf-16"),
            content.replace(b"\n", b"\r"),
            content.replace(b"\n", b"\r\n"),
            content + b"\n---\n" + content,
            content + b"\n...\n",
            b"x: &a [" + b"*a, " * 20 + b"]\n" + content,
            b"a: &a {<<: *a}\n" + content,
            content[:at]
            + chance.choice((b"\x00", b"\x85", b"\xe2\x80\xa8", b"\t", b"!!binary ", b"&a ", b"*a ", b"? "))
            + content[at:],
            b"[" * chance.choice((30, 41, 3000)) + content,
        )
    )


class Scenarios:
    """`validate`, `plan` and `list` on scenarios with mistakes; `run` on what must be refused."""

    name = "scenarios with mistakes"
    short = 120
    long = 10_000

    def attempts(self, chance: random.Random, count: int, folder: Path) -> Iterator[Attempt]:
        """Make attempts: each is `validate` on a file, and another command, which must say the same."""
        file = folder / "scenario.yaml"
        for number in range(count):
            content = scenario(chance)
            file.write_bytes(content)
            yield self._attempt(number, content, file, chance.choice(("plan", "list", "run")))

    def _attempt(self, number: int, content: bytes, file: Path, other: str) -> Attempt:
        began = time.monotonic()
        validated = in_process(["validate", str(file)])
        answers = [validated]
        if other != "run":
            answers.append(in_process([other, str(file)]))
        elif validated.code != ExitCode.AS_EXPECTED:
            answers.append(in_process(["run", str(file), "--reports", str(file.parent / "reports")]))
        took_s = time.monotonic() - began
        wrong = [*_disagreements(answers), *_places_outside(validated, content)]
        if took_s > LONGEST_S * len(answers):
            wrong.append(f"took {took_s:.1f} s")
        if (file.parent / "reports").exists():
            wrong.append("a run was begun")
        first = next((each for each in answers if Attempt("", each, ALLOWED).flaws), validated)
        said = first if not wrong else replace(first, code=ExitCode.VIOLATED, err=f"{'; '.join(wrong)}\n{first.err}")
        return Attempt(f"scenario {number}: {content[:4000]!r}", said, ALLOWED)


def _disagreements(answers: list[Answer]) -> Iterator[str]:
    first = answers[0]
    for other in answers[1:]:
        if other.code != first.code:
            yield f"validate ends with {first.code}, another command with {other.code}: {other.err[-300:]}"
        elif first.code != ExitCode.AS_EXPECTED and other.err != first.err:
            yield f"validate and another command tell different mistakes: {other.err[-300:]}"


def _within(line: int, column: int, lines: list[str]) -> bool:
    return 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1


def _places_outside(validated: Answer, content: bytes) -> Iterator[str]:
    """Find what is told without a place in the file."""
    if validated.code == ExitCode.AS_EXPECTED:
        return
    text = content.decode("utf-8", errors="replace")
    # What ends a line depends on the version of YAML: only 1.1 knows the last three.
    splits = [re.split("\r\n|\r|\n", text), re.split("\r\n|\r|\n|\x85|\u2028|\u2029", text)]
    for told in validated.err.splitlines():
        place = PLACE.match(told)
        if place is None:
            yield f"told without the file: {told}"
        elif place["line"] is not None and not any(
            _within(int(place["line"]), int(place["column"]), lines) for lines in splits
        ):
            yield f"told at a place that is not in the file: {told}"


FUZZER = Scenarios()
