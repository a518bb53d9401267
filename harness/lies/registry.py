"""The known lies, by name: every class in the folder `kinds`."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from harness.lies import kinds
from harness.lies.kinds.base import Lie


@cache
def lies() -> MappingProxyType[str, Lie[Any]]:
    """Return one of each, in the order of their files and within these of their text."""
    found: dict[str, Lie[Any]] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(kinds.__path__)):
        for kind in vars(import_module(f"{kinds.__name__}.{module}")).values():
            if inspect.isclass(kind) and issubclass(kind, Lie) and not inspect.isabstract(kind):
                for each in kind.each():
                    found.setdefault(each.name, each)
    return MappingProxyType(found)
