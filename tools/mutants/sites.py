"""Where a mistake can be planted in a module, found in its syntax tree.

A site is a span of the source and what to write there instead, so that a mutant keeps its lines and is shown as it is. What no test of
behaviour can see is left out: annotations, decorators, docstrings, f-strings, assertions, numbers of an Enum, shapes
(`reshape`, `empty`, `strict=`, `dtype=`). So is another
negative number, but for an index: -1 stands for none. And what fails at first sight, such as a removed assignment of a local name.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Final

COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, tuple[str, ...]]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: (r"is\s+not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: (r"not\s+in", ("in",)),
}
"""By operator: a pattern that finds it, and what to write instead: its boundary moved, and its opposite."""
OPERATORS: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.BitXor: (r"\^", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
SWAPPED: Final = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "any": "all",
    "all": "any",
    "argmin": "argmax",
    "argmax": "argmin",
    "floor": "ceil",
    "ceil": "floor",
}
"""Functions and methods that are taken for each other."""
UNSEEN_KEYWORDS: Final = {"strict", "dtype", "copy", "minlength", "slots", "frozen", "kw_only", "repr"}
"""Arguments that guard or shape, and decide nothing."""
LARGE: Final = 1000
"""A number above that is doubled and halved: one nanosecond more or less is no mistake that anybody makes."""


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """A place in a module, and the mistake to plant there."""

    file: str
    """Relative to the root of the project."""
    start: int
    """Offset of the first character that is replaced."""
    end: int
    after: str
    """What is written instead."""
    before: str
    function: str
    """Dotted name of the function or class around it; empty at the top of the module."""
    line: int
    lines: tuple[int, int] | None = field(compare=False)
    """First and last line of its statement, without the blocks in it; None for what runs at import."""
    name: str
    """What a statement at the top of a module assigns; empty for others."""

    def planted(self, source: str) -> str:
        """Return the source of the module with the mistake in it."""
        return source[: self.start] + self.after + source[self.end :]


def sites(source: str, file: str) -> list[Site]:
    """Return all sites of a module in the order of its source."""
    return sorted(_Finder(source, file).found())


def draw(by_file: Mapping[str, Sequence[Site]], count: int, seed: int) -> list[Site]:
    """Draw some sites, from each file as many as its share of all, in an order by chance."""
    chance = random.Random(seed)
    every = sum(len(each) for each in by_file.values())
    count = min(count, every)
    shares = {file: len(each) * count / every for file, each in by_file.items()} if every else {}
    taken = {file: int(share) for file, share in shares.items()}
    # What is left after rounding down goes to the largest remainders.
    rest = sorted(shares, key=lambda file: (taken[file] - shares[file], file))[: count - sum(taken.values())]
    drawn = [
        site
        for file, each in sorted(by_file.items())
        for site in chance.sample(sorted(each), taken.get(file, 0) + (file in rest))
    ]
    chance.shuffle(drawn)
    return drawn


@dataclass(frozen=True, slots=True)
class _Scope:
    """What surrounds an expression."""

    function: str = ""
    at_import: bool = True
    lines: tuple[int, int] | None = None
    name: str = ""


class _Finder:
    """Walks through one module."""

    def __init__(self, source: str, file: str) -> None:
        self._source, self._file = source, file
        self._lines = source.splitlines(keepends=True)
        self._starts = [0, *accumulate(len(line) for line in self._lines)]

    def found(self) -> Iterator[Site]:
        yield from self._block(ast.parse(self._source).body, _Scope())

    # Statements.

    def _block(self, body: Sequence[ast.stmt], scope: _Scope) -> Iterator[Site]:
        for statement in body:
            yield from self._statement(statement, scope)

    def _statement(self, node: ast.stmt, scope: _Scope) -> Iterator[Site]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                inside = _Scope(_dotted(scope.function, node.name), at_import=False)
                whole = replace(inside, lines=(node.body[0].lineno, node.end_lineno or node.lineno))
                for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                    yield from self._expression(default, whole)
                yield from self._block(node.body, inside)
            case ast.ClassDef() if not _is_enum(node):
                yield from self._block(node.body, replace(scope, function=_dotted(scope.function, node.name)))
            case ast.ClassDef() | ast.Import() | ast.ImportFrom() | ast.Assert():
                return
            case _:
                yield from self._simple(node, scope)

    def _simple(self, node: ast.stmt, scope: _Scope) -> Iterator[Site]:
        """A statement that defines nothing, and what it holds."""
        is_top = scope.at_import and not scope.function
        here = replace(scope, lines=None if scope.at_import else _extent(node), name=_assigned(node) if is_top else "")
        yield from self._removed(node, here)
        match node:
            case ast.AugAssign():
                pattern, other = OPERATORS[type(node.op)]
                yield self._between(node.target, node.value, f"{pattern}=", f"{other}=", here)
            case ast.If() | ast.While():
                yield from self._negated(node.test, here)
        for child in _parts(node):
            yield from self._expression(child, here)
        for block in _blocks(node):
            yield from self._block(block, scope)

    def _removed(self, node: ast.stmt, here: _Scope) -> Iterator[Site]:
        """A statement that is forgotten."""
        match node:
            case ast.AugAssign() | ast.Continue() | ast.Break() | ast.Raise():
                yield self._replaced(node, "pass", here)
            case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
                yield self._replaced(node, "pass", here)
            case ast.Assign(targets=[ast.Subscript() | ast.Attribute() as target]) if not _is_own(target):
                yield self._replaced(node, "pass", here)

    # Expressions.

    def _expression(self, node: ast.AST, here: _Scope) -> Iterator[Site]:
        """All sites of an expression and what it holds."""
        match node:
            case ast.JoinedStr():
                return
            case ast.keyword() if node.arg in UNSEEN_KEYWORDS:
                return
            case ast.Call(func=ast.Attribute(attr="reshape" | "empty") as function):
                yield from self._expression(function, here)
                return
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
                yield from self._operators(node, here)
                return
            case ast.Subscript(slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant() as last)):
                yield from self._constant(last, here)
        yield from self._operators(node, here)
        yield from self._names(node, here)
        yield from self._conditions(node, here)
        for each in ast.iter_child_nodes(node):
            yield from self._expression(each, here)

    def _operators(self, node: ast.AST, here: _Scope) -> Iterator[Site]:
        match node:
            case ast.Compare():
                for (left, right), operator in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
                    pattern, others = COMPARISONS[type(operator)]
                    for other in others:
                        yield self._between(left, right, pattern, other, here)
            case ast.BoolOp():
                now, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in pairwise(node.values):
                    yield self._between(left, right, now, other, here)
            case ast.BinOp() if not (_is_sequence(node.left) or _is_sequence(node.right)):
                yield self._between(node.left, node.right, *OPERATORS[type(node.op)], here)
            case ast.UnaryOp():
                start = self._start(node)
                sign = re.match(r"not\s+|.", self._source[start:])
                yield self._site(start, start + len(sign[0] if sign else ""), "", here)

    def _names(self, node: ast.AST, here: _Scope) -> Iterator[Site]:
        match node:
            case ast.Constant():
                yield from self._constant(node, here)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in SWAPPED:
                yield self._site(self._end(node) - len(name), self._end(node), SWAPPED[name], here)
            case ast.Call(func=ast.Attribute(attr="searchsorted")):
                yield self._side(node, here)

    def _conditions(self, node: ast.AST, here: _Scope) -> Iterator[Site]:
        match node:
            case ast.IfExp():
                yield from self._negated(node.test, here)
            case ast.comprehension():
                for condition in node.ifs:
                    yield from self._negated(condition, here)

    def _constant(self, node: ast.Constant, here: _Scope) -> Iterator[Site]:
        match node.value:
            case bool() as value:
                others: tuple[object, ...] = (not value,)
            case int() as value:
                others = (value * 2, value // 2) if value > LARGE else (value + 1, *((value - 1,) if value > 1 else ()))
            case float() as value:
                others = (value * 2, value / 2) if value else (1.0,)
            case _:
                others = ()
        for other in others:
            yield self._replaced(node, repr(other), here)

    def _side(self, node: ast.Call, here: _Scope) -> Site:
        """On which side of what is equal a sorted array is searched: left, if nothing is said."""
        side = next((each.value for each in node.keywords if each.arg == "side"), None)
        if side is None:
            return self._site(self._end(node) - 1, self._end(node) - 1, ', side="right"', here)
        return self._replaced(side, '"left"' if "right" in self._text(side) else '"right"', here)

    def _negated(self, test: ast.expr, here: _Scope) -> Iterator[Site]:
        """A condition that is taken for its opposite; comparisons and `not` have mutants of their own."""
        if not isinstance(test, ast.Compare | ast.UnaryOp | ast.NamedExpr | ast.Constant):
            yield self._replaced(test, f"not ({self._text(test)})", here)

    # Places in the source.

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None  # noqa: S101, PT018 - parsed
        return self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        """Columns of the syntax tree count bytes."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _text(self, node: ast.expr) -> str:
        return self._source[self._start(node) : self._end(node)]

    def _replaced(self, node: ast.expr | ast.stmt, after: str, here: _Scope) -> Site:
        return self._site(self._start(node), self._end(node), after, here)

    def _between(self, left: ast.expr, right: ast.expr, pattern: str, after: str, here: _Scope) -> Site:
        """The operator between two operands: nothing else is there but brackets, blanks and comments."""
        start = self._end(left)
        gap = re.sub(r"#[^\n]*", lambda comment: " " * len(comment[0]), self._source[start : self._start(right)])
        place = re.search(pattern, gap)
        assert place is not None, gap  # noqa: S101 - the tree says that it is there
        return self._site(start + place.start(), start + place.end(), after, here)

    def _site(self, start: int, end: int, after: str, here: _Scope) -> Site:
        line = self._source.count("\n", 0, start) + 1
        return Site(self._file, start, end, after, self._source[start:end], here.function, line, here.lines, here.name)


def _parts(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement, without its blocks and its annotation."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.expr() if child is not getattr(node, "annotation", None):
                yield child
            case ast.withitem():
                yield child.context_expr
            case ast.match_case(guard=ast.expr() as guard):
                yield guard


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks that a compound statement holds."""
    for name in ("body", "orelse", "finalbody"):
        if block := getattr(node, name, None):
            yield block
    for inner in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield inner.body


def _extent(node: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement; of a compound one, of its head."""
    first = min((block[0].lineno for block in _blocks(node)), default=None)
    return node.lineno, (node.end_lineno or node.lineno) if first is None else max(node.lineno, first - 1)


def _assigned(node: ast.stmt) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _is_enum(node: ast.ClassDef) -> bool:
    """Whether the numbers in a class are no more than names."""
    return any(ast.unparse(base).endswith("Enum") for base in node.bases)


def _dotted(outer: str, name: str) -> str:
    return f"{outer}.{name}" if outer else name


def _is_sequence(node: ast.expr) -> bool:
    """Whether an operand is text or a list as it stands: only joining makes sense, and all else fails at once."""
    return isinstance(node, ast.JoinedStr | ast.Tuple | ast.List) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_own(target: ast.expr) -> bool:
    """Whether an assignment makes an attribute of the object itself: without it everything fails at once."""
    return isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
