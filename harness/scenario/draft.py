"""A scenario's plain data while it is being validated: a copy in which each mistake is repaired, so that others are found.

A repair takes a misspelt key or word as it was probably meant. What cannot be understood is left out, or is reduced to what other parts
may refer to: a queue keeps its name, a group its name and its number. What was left out or guessed is remembered, so that its
consequences are not told as mistakes of their own.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from harness.scenario.mistake import Mistake, Path, matches

_GROUPS: Final = ("publishers", "workers")
_NAMED: Final = ("queues", "exchanges")
_LEAST: Final[Mapping[str, Mapping[str, Any]]] = {"publishers": {"messages": 1}, "workers": {}}
"""What a group needs to be one."""
_AMOUNTS: Final = ("messages", "tasks", "duration")


class Draft:
    """The copy. Paths of repairs are those of this copy, in which a list keeps the places of what was left out."""

    def __init__(self, data: Mapping[str, Any], guessed: Iterable[Path]) -> None:
        """`guessed` are paths of which a mistake is known already."""
        self.data: dict[str, Any] = copy.deepcopy(dict(data))
        self.guessed: set[Path] = set()
        self._moved: dict[Path, Path] = {}
        """By the path of something here, its path in the file."""
        self._left_out: dict[Path, set[int]] = {}
        """By the path of a list, which of its entries were left out."""
        self._tried: Counter[Path] = Counter()
        for path in guessed:
            self._guess(path)

    def whole(self) -> dict[str, Any]:
        """Return what there is to validate: without the entries that were left out."""
        whole: dict[str, Any] = self._whole(self.data, ()) if self._left_out else self.data
        return whole

    def _whole(self, here: Any, path: Path) -> Any:
        match here:
            case dict():
                return {key: self._whole(value, (*path, key)) for key, value in here.items()}
            case list():
                out = self._left_out.get(path, ())
                return [self._whole(each, (*path, n)) for n, each in enumerate(here) if n not in out]
            case _:
                return here

    def path(self, path: Path) -> Path:
        """Return the path here of one in `whole()`, or in the models, where a single group is a list of one."""
        here: Any = self.data
        found: list[str | int] = []
        for part in path:
            own: str | int = part
            match here, part:
                case list(), int():
                    kept = [n for n in range(len(here)) if n not in self._left_out.get(tuple(found), ())]
                    own = kept[part] if part < len(kept) else part
                    here = here[own] if own < len(here) else None
                case dict(), int():
                    continue
                case dict(), str():
                    own = next((key for key in (part, part.replace("_", " ")) if key in here), part)
                    here = here.get(own)
                case _:
                    here = None
            found.append(own)
        return tuple(found)

    def in_file(self, path: Path) -> Path:
        """Return the path in the file of one in `whole()` or in the models."""
        return self._written(self.path(path))

    def _written(self, own: Path) -> Path:
        for end in range(len(own), 0, -1):
            if (written := self._moved.get(own[:end])) is not None:
                return (*written, *own[end:])
        return own

    def is_consequence(self, mistake: Mistake) -> bool:
        """Whether a mistake of meaning may come of what was left out or guessed."""
        own = self._long(self.path(mistake.path))
        return any(
            own[: len(guess)] == guess
            or (not mistake.about_key and guess[: len(own)] == own)
            or any(matches(pattern, guess) for pattern in mistake.rests_on)
            for guess in self.guessed
        )

    def may_come_of_a_guess(self, mistake: Mistake) -> bool:
        """Whether a mistake of form, at a path of this copy, may come of what was left out or guessed.

        What is wrong with a mapping as a whole names the keys that it is about; what was another key's has not brought it about.
        """
        own = self._long(mistake.path)
        if own in self.guessed:
            return True
        if len(own) == 1 and own[0] in _GROUPS and isinstance(self.data.get(str(own[0])), dict):
            own = (*own, 0)
        words = set(re.findall(r"[\w-]+", mistake.message))
        inside = [guess[len(own) :] for guess in self.guessed if guess[: len(own)] == own]
        return any(not below or isinstance(below[0], int) or below[0] in words for below in inside)

    def move(self, path: Path, to: Path) -> bool:
        """Put what is at a path to another one, where nothing may be yet; False if that cannot be."""
        key, new = path[-1], to[-1]
        source, target = self._at(path[:-1]), self._at(to[:-1], make=True)
        if not isinstance(source, dict) or not isinstance(target, dict) or key not in source or new in target:
            return False
        written = self._written(path)
        target[new] = source.pop(key)
        self._moved[to] = written
        return True

    def repair(self, mistake: Mistake) -> bool:
        """Change what is wrong to what was probably meant, or leave it out; False where nothing is left to be done."""
        path = mistake.path
        self._tried[path] += 1
        if (more := self._tried[path] - 1) > 0:
            return self.leave_out(
                path[: len(path) - more + 1]
            )  # what did not help: the same place, then what is around it
        parent = self._at(path[:-1])
        if path and isinstance(parent, dict) and path[-1] in parent:
            return self._repair(mistake, parent)
        return self._fill(path) if mistake.about_key else self.leave_out(path)

    def _repair(self, mistake: Mistake, parent: dict[str, Any]) -> bool:
        path = mistake.path
        *_, last = path
        if mistake.inside is not None:
            return self.move(path, (*path[:-1], mistake.inside, last)) or self._drop(path)
        if mistake.about_key:
            return (mistake.meant is not None and self.move(path, (*path[:-1], mistake.meant))) or self._drop(path)
        if mistake.meant is None:
            return self.leave_out(path)
        parent[str(last)] = {"true": True, "false": False}.get(mistake.meant, mistake.meant)
        return True

    def leave_out(self, path: Path) -> bool:
        """Leave out what is at a path, or what is around it if there is nothing; keep what other parts may refer to."""
        while path:
            parent, last = self._at(path[:-1]), path[-1]
            match parent, last:
                case list(), int() if last < len(parent) and last not in self._left_out.get(path[:-1], ()):
                    if not self._reduce(parent, path):
                        self._left_out.setdefault(path[:-1], set()).add(last)
                        self._guess(path, "name", *(parent[last] if isinstance(parent[last], dict) else ()))
                    return True
                case dict(), _ if last in parent:
                    return self._reduce(parent, path) or self._drop(path)
            path = path[:-1]
        return False

    def _fill(self, path: Path) -> bool:
        match path:
            case ("name",):
                self.data["name"] = "x"
            case ("publishers",):
                self.data["publishers"] = dict(_LEAST["publishers"])
                self._guess(path)
            case _:
                return self.leave_out(path[:-1])
        return True

    def _reduce(self, parent: Any, path: Path) -> bool:
        """Leave of a queue, an exchange or a group what others refer to; False where that is all there is, or nothing."""
        value, last = parent[path[-1]], path[-1]
        section = path[0]
        if section in _NAMED and len(path) == 2 and value != {}:
            parent[last] = {}
        elif section in _GROUPS and (len(path) == 1 or isinstance(last, int)) and isinstance(value, dict):
            if section == "publishers" and not any(key in value for key in _AMOUNTS):
                value["messages"] = 1
                self._guess((*path, "messages"))
                return True
            least = dict(_LEAST[str(section)]) | {
                key: value[key]
                for key, kind in (("name", str), ("count", int))
                if isinstance(value.get(key), kind) and self._tried[*path, key] == 0
            }
            if value == least:
                return False
            parent[last] = dict(least)
            self._guess(path, "tasks")
            for key in ("name", "count"):
                if key in value and key not in least:
                    self._guess((*path, key))
        elif path == ("publishers",):
            parent[last] = dict(_LEAST["publishers"])
        else:
            return False
        self._guess(path)
        return True

    def _drop(self, path: Path) -> bool:
        parent = self._at(path[:-1])
        parent.pop(path[-1], None)
        self._guess(path)
        return True

    def _guess(self, path: Path, *keys: str) -> None:
        own = self._long(path)
        self.guessed.add(own)
        self.guessed.update((*own, key) for key in keys)

    def _long(self, path: Path) -> Path:
        """Write a path of a single group as that of a list of one."""
        single = path[:1] and path[0] in _GROUPS and len(path) > 1 and not isinstance(path[1], int)
        return (path[0], 0, *path[1:]) if single else path

    def _at(self, path: Path, *, make: bool = False) -> Any:
        here: Any = self.data
        for part in path:
            if make and isinstance(here, dict):
                here = here.setdefault(part, {})
                continue
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                return None
        return here
