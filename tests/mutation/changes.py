"""Which small mistakes could have been made in the functions of a module?

Each is one edit of the source text, at the place that the syntax tree names. Nothing is edited that does not decide: no
annotation, decorator or docstring, and no type that is named only for a checker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from living import first_line


class Kind(StrEnum):
    """What is done to the source."""

    COMPARISON = "comparison"
    BOOLEAN = "boolean"
    CONDITION = "condition"
    CONSTANT = "constant"
    ARITHMETIC = "arithmetic"
    REMOVED = "removed statement"
    SWAPPED = "swapped arguments"
    LEFT_OUT = "argument left out"
    NONE = "returned None"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One edit: the bytes from `start` to `end` become `text`.

    line      where the edit begins, counted from 1
    function  where the outermost function around it begins, decorators included
    """

    kind: Kind
    line: int
    function: int
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutations(source: bytes) -> tuple[Mutation, ...]:
    """Return every edit that makes another program of a module, in the order of the text."""
    starts = [0, *(end + 1 for end, byte in enumerate(source) if byte == ord("\n"))]
    found = (
        Mutation(kind, place.lineno, function, _start(place, starts), _end(place, starts), text)
        for node, function in _deciding(ast.parse(source), 0)
        if function
        for kind, place, text in _mistakes(node)
    )
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.kind, one.text)))


def _start(node: ast.expr | ast.stmt, starts: list[int]) -> int:
    return starts[node.lineno - 1] + node.col_offset


def _end(node: ast.expr | ast.stmt, starts: list[int]) -> int:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.end_lineno - 1] + node.end_col_offset


# --- where a mistake would matter ------------------------------------------------------------------------------------


_FOR_CHECKERS = ("TypeVar", "NewType", "cast", "assert_never")


def _deciding(node: ast.AST, function: int) -> Iterator[tuple[ast.expr | ast.stmt, int]]:
    """Yield what is run, with the function that it is a part of."""
    if isinstance(node, ast.expr | ast.stmt) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node, function
    # The places within an f-string are right from Python 3.12 on only, so it changes as a whole or not at all.
    if isinstance(node, ast.JoinedStr):
        return
    inner = first_line(node) if isinstance(node, ast.FunctionDef) and not function else function
    for child in _children(node):
        yield from _deciding(child, inner)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        # Decorators and defaults are read once, where the function is made.
        if name in ("annotation", "returns", "decorator_list") or isinstance(value, ast.arguments):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _says_nothing(child):
                yield child


def _says_nothing(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.expr_context():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _FOR_CHECKERS
    return False


# --- which mistake ---------------------------------------------------------------------------------------------------

_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHERS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


Mistake = tuple[Kind, ast.expr | ast.stmt, str]
"""What is done, to what, and what stands there then."""


def _mistakes(node: ast.expr | ast.stmt) -> Iterator[Mistake]:
    yield from ((Kind.CONDITION, test, text) for test, text in _decided(node))
    yield from ((kind, node, text) for kind, text in _rewritten(node))


def _decided(node: ast.expr | ast.stmt) -> Iterator[tuple[ast.expr, str]]:
    """Yield each condition with what it would be if it always came out one way. A loop that never ends proves little."""
    match node:
        case ast.If(test) | ast.IfExp(test):
            yield test, "True"
            yield test, "False"
        case ast.While(test):
            yield test, "False"
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from ((test, "True") for generator in node.generators for test in generator.ifs)


def _rewritten(node: ast.expr | ast.stmt) -> Iterator[tuple[Kind, str]]:
    match node:
        case ast.Compare(left, ops, comparators):
            for at, operator in enumerate(ops):
                other = [*ops[:at], _OPPOSITES[type(operator)](), *ops[at + 1 :]]
                yield Kind.COMPARISON, _written(ast.Compare(left, other, comparators))
        case ast.BoolOp(operator, values):
            yield Kind.BOOLEAN, _written(ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values))
        case ast.UnaryOp(ast.Not(), operand):
            yield Kind.BOOLEAN, _written(operand)
        case ast.Constant(value):
            yield from ((Kind.CONSTANT, repr(other)) for other in _other_constants(value))
        case ast.JoinedStr():
            yield Kind.CONSTANT, repr("")
        case ast.BinOp(left, operator, right) if type(operator) in _OTHERS:
            yield Kind.ARITHMETIC, _written(ast.BinOp(left, _OTHERS[type(operator)](), right))
        case ast.Call():
            yield from _other_calls(node)
        case ast.Return(value) if value is not None and not _is_none(value):
            yield Kind.NONE, "return None"
        case _ if _can_go(node):
            yield Kind.REMOVED, "pass"


def _other_constants(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
        case str():
            yield "" if value else "mutant"


def _other_calls(call: ast.Call) -> Iterator[tuple[Kind, str]]:
    for at, (one, other) in enumerate(pairwise(call.args)):
        if not isinstance(one, ast.Starred) and not isinstance(other, ast.Starred):
            swapped = [*call.args[:at], other, one, *call.args[at + 2 :]]
            yield Kind.SWAPPED, _written(ast.Call(call.func, swapped, call.keywords))
    for at, keyword in enumerate(call.keywords):
        if keyword.arg:
            yield Kind.LEFT_OUT, _written(ast.Call(call.func, call.args, [*call.keywords[:at], *call.keywords[at + 1 :]]))


def _can_go(statement: ast.expr | ast.stmt) -> bool:
    """Without it, the names that follow are known all the same."""
    match statement:
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.For() | ast.While() | ast.Continue() | ast.Break():
            return True
        case ast.Return(value):
            return value is None or _is_none(value)
        case ast.Assign(targets):
            return all(isinstance(target, ast.Subscript | ast.Attribute) for target in targets)
    return False


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _written(expression: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(expression))})"
