"""What can happen to the files of a run: to any file, and to JSON, lines of JSON and logs by their structure."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from harness.history.records import COLUMNS, HEADER_BYTES, LAST_ENTRY_OFFSET, RECORD_BYTES

Damage = Callable[[random.Random, Path], str]
"""Damages a file, and says what it did."""

ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63),
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "guarantee",
    "\x1b[2J\u202e",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [[]],
    {"": None},
)
_DEEP: Final = "[" * 200_000


def damage(chance: random.Random, path: Path) -> str:
    """Damage a file in one of the ways that there are for it."""
    kinds = list(_ANY)
    if path.suffix == ".json":
        kinds += [_json_value] * 10
    if path.suffix == ".jsonl":
        kinds += [_line] * 8 + [_lines] * 3
    if path.suffix == ".log":
        kinds += [_log_column] * 12 + [_log_header] * 4 + [_log_chain] * 2
    if path.suffix == ".yaml":
        kinds += [_yaml] * 3
    try:
        return f"{path.name}: {chance.choice(kinds)(chance, path)}"
    except (ValueError, RecursionError, IndexError):  # it was damaged before, and has no structure any more
        return f"{path.name}: {_flip(chance, path)}"


def _truncate(chance: random.Random, path: Path) -> str:
    size = chance.choice([0, 1, max(0, path.stat().st_size - 1), chance.randrange(path.stat().st_size + 1)])
    os.truncate(path, size)
    return f"cut to {size} bytes"


def _flip(chance: random.Random, path: Path) -> str:
    octets = bytearray(path.read_bytes() or b"\0")
    places = [chance.randrange(len(octets)) for _ in range(chance.choice([1, 1, 2, 20, 200]))]
    for place in places:
        octets[place] ^= 1 << chance.randrange(8)
    path.write_bytes(octets)
    return f"bits flipped at {places[:8]}"


def _overwrite(chance: random.Random, path: Path) -> str:
    octets = bytearray(path.read_bytes() or b"\0")
    begin = chance.randrange(len(octets))
    size = chance.choice([1, 8, 64, 512, 4096, len(octets)])
    filling = chance.choice([b"\0", b"\xff", None])
    octets[begin : begin + size] = chance.randbytes(size) if filling is None else filling * size
    path.write_bytes(octets)
    return f"{size} bytes at {begin} overwritten with {filling!r}"


def _remove(_chance: random.Random, path: Path) -> str:
    path.unlink()
    return "removed"


def _replace(chance: random.Random, path: Path) -> str:
    kind = chance.choice(["directory", "pipe", "loop", "sparse", "unreadable"])
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "sparse":
            with path.open("wb") as file:
                file.truncate(chance.choice([1, HEADER_BYTES, 1 << 20]))
        case "unreadable":
            path.write_bytes(chance.randbytes(2000))
    return f"replaced by a {kind} one"


def _swap(chance: random.Random, path: Path) -> str:
    beside = [each for each in sorted(path.parent.parent.rglob("*")) if each.is_file() and each != path]
    if not beside:
        return _remove(chance, path)
    other = chance.choice(beside)
    kept = path.read_bytes()
    shutil.copyfile(other, path)
    if chance.random() < 0.5:
        other.write_bytes(kept)
    return f"swapped with {other.name}"


_ANY: Final[tuple[Damage, ...]] = (_truncate, _flip, _overwrite, _remove, _replace, _swap)


def mutate(chance: random.Random, value: Any) -> str:
    """Change something, somewhere in what was JSON."""
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chance.choice(list(keys))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
            value = inner
            continue
        if chance.random() < 0.15:
            del value[key]
            return f"{key!r} removed"
        if isinstance(inner, int) and chance.random() < 0.3:
            value[key] = inner + chance.choice([-1, 1, 1 << 20, -(1 << 40)])
        else:
            # Of its own: what is changed again later must not change what others are given.
            value[key] = deepcopy(chance.choice(ODD_VALUES))
        return f"{key!r} set to {str(value[key])[:40]!r}"
    return "nothing to change"


def dumped(value: Any) -> bytes:
    """Write JSON as it should not be: with what is no number, and halves of characters."""
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def _json_value(chance: random.Random, path: Path) -> str:
    if chance.random() < 0.05:
        path.write_text(_DEEP)
        return "nested deeply"
    data = json.loads(path.read_text())
    said = ", ".join(mutate(chance, data) for _ in range(chance.choice([1, 1, 2, 5])))
    path.write_bytes(dumped(data))
    return said


def _line(chance: random.Random, path: Path) -> str:
    lines = path.read_bytes().split(b"\n")
    said = []
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.choice([0, *[chance.randrange(max(1, len(lines) - 1)) for _ in range(9)]])
        try:
            data = json.loads(lines[place])
        except ValueError:
            continue
        said.append(f"line {place + 1}: {mutate(chance, data)}")
        lines[place] = dumped(data)
    path.write_bytes(b"\n".join(lines))
    return "; ".join(said)


def _lines(chance: random.Random, path: Path) -> str:
    lines = path.read_bytes().split(b"\n")
    match chance.choice(["shuffled", "reversed", "doubled", "left out", "deep", "no version"]):
        case "shuffled" as said:
            chance.shuffle(lines)
        case "reversed" as said:
            lines.reverse()
        case "doubled" as said:
            lines += lines
        case "left out" as said:
            lines = [line for line in lines if chance.random() < 0.7]
        case "no version" as said:
            del lines[0]
        case said:
            lines.insert(1, _DEEP.encode())
    path.write_bytes(b"\n".join(lines))
    return f"lines {said}"


def _log_column(chance: random.Random, path: Path) -> str:
    octets = bytearray(path.read_bytes())
    count = (len(octets) - HEADER_BYTES) // RECORD_BYTES
    if count <= 0:
        return _truncate(chance, path)
    said = []
    for _ in range(chance.choice([1, 1, 3, 30])):
        name, kind, offset = chance.choice(COLUMNS)
        size = int(kind[-1])
        most = (1 << 8 * size) - 1
        value = chance.choice(
            [0, 1, 2, most, most // 2, most // 2 + 1, chance.randrange(most + 1), chance.randrange(99)]
        )
        place = chance.randrange(count)
        begin = HEADER_BYTES + place * RECORD_BYTES + offset
        octets[begin : begin + size] = value.to_bytes(size, "little")
        said.append(f"{name} of record {place} set to {value}")
    path.write_bytes(octets)
    return ", ".join(said[:4])


def _log_header(chance: random.Random, path: Path) -> str:
    octets = path.read_bytes()
    try:
        data, _ = json.JSONDecoder().raw_decode(octets[:HEADER_BYTES].decode("latin-1"))
    except ValueError:
        return _flip(chance, path)
    said = mutate(chance, data)
    header = chance.choice([dumped(data), dumped(data), dumped(data), b"[" * LAST_ENTRY_OFFSET])[:LAST_ENTRY_OFFSET]
    path.write_bytes(header.ljust(LAST_ENTRY_OFFSET, b"\0") + octets[LAST_ENTRY_OFFSET:])
    return f"header: {said}"


def _log_chain(chance: random.Random, path: Path) -> str:
    octets = bytearray(path.read_bytes().ljust(HEADER_BYTES, b"\0"))
    last = chance.choice([0, 1, 2, 50, 0xFFFFFFFF, chance.randrange(1 << 32)])
    struct.pack_into("<I", octets, LAST_ENTRY_OFFSET, last)
    path.write_bytes(octets)
    return f"last entry set to {last}"


def _yaml(chance: random.Random, path: Path) -> str:
    lines = path.read_text().splitlines(keepends=True)
    place = chance.randrange(len(lines))
    match chance.choice(["removed", "doubled", "changed"]):
        case "removed" as said:
            del lines[place]
        case "doubled" as said:
            lines.insert(place, lines[place])
        case said:
            lines[place] = lines[place].replace(chance.choice(["6", "2", ":", "tasks", "worker", "{"]), "9")
    path.write_text("".join(lines))
    return f"line {place + 1} {said}"
