"""Plants a mistake in a process that has imported the module already."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tools.mutants.sites import Site


class NotPlantedError(Exception):
    """A mistake could not be planted: the tool is wrong, not the tests."""


def module_name(file: str) -> str:
    """Return the dotted name of a module by its file, relative to the root of the project."""
    return file.removesuffix(".py").replace("/", ".")


def plant_in_function(site: Site, source: str) -> None:
    """Give a function its mistake, wherever the function has been imported to. Raises NotPlantedError."""
    function, path = _function(importlib.import_module(module_name(site.file)), site.function.split("."))
    code = next(
        (each for each in _codes(compile(site.planted(source), site.file, "exec")) if each.co_qualname == path), None
    )
    if code is None or code.co_freevars != function.__code__.co_freevars:
        raise NotPlantedError(
            f"{site.file} has no function {path} that could be replaced: mend plant_in_function for it"
        )
    function.__code__ = code
    _plant_defaults(function, site.planted(source), path)


def _plant_defaults(function: FunctionType, source: str, path: str) -> None:
    """Give a function the defaults that it has in a source: they are no part of its code."""
    found: ast.AST = ast.parse(source)
    for name in path.split("."):
        found = next(
            each
            for each in ast.iter_child_nodes(found)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and each.name == name
        )
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - the path is that of a function

    def value(default: ast.expr) -> object:
        return eval(compile(ast.Expression(default), function.__code__.co_filename, "eval"), function.__globals__)  # noqa: S307 - the source of a mutant

    arguments = found.args
    function.__defaults__ = tuple(value(default) for default in arguments.defaults) or None
    function.__kwdefaults__ = {
        argument.arg: value(default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }


def plant_before_import(site: Site, source: str, packages: Collection[str]) -> None:
    """Forget all modules of some packages, and have the module with the mistake imported instead of its file."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in packages:
            del sys.modules[name]
    importlib.invalidate_caches()
    sys.meta_path.insert(0, _Planted(module_name(site.file), site.file, site.planted(source)))


def _function(module: ModuleType, names: Sequence[str]) -> tuple[FunctionType, str]:
    """Return the outermost function of a dotted name, and its own dotted name."""
    found: object = module
    for number, name in enumerate(names, 1):
        found = vars(found).get(name)
        found = found.__func__ if isinstance(found, staticmethod | classmethod) else found
        found = found.fget if isinstance(found, property) else found
        found = found.func if isinstance(found, functools.cached_property) else found
        found = getattr(found, "__wrapped__", found)
        if isinstance(found, FunctionType):
            return found, ".".join(names[:number])
        if not isinstance(found, type):
            break
    raise NotPlantedError(f"{module.__name__} has no function {'.'.join(names)}: mend _function for it")


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads one module from a source of its own."""

    def __init__(self, name: str, file: str, source: str) -> None:
        self._name, self._file, self._source = name, file, source

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, Path(self._file).absolute(), loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, self._file, "exec"), vars(module))  # noqa: S102 - the source of a mutant
