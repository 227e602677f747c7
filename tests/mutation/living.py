"""Which functions of this process were made from a file, and what if they were written otherwise?"""

from __future__ import annotations

import ast
import builtins
import functools
import gc
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FunctionType

Place = tuple[str, int]
"""A function's file, and the line at which it begins, decorators included."""


class Living:
    """The functions that exist now, and which of the watched ones each test calls."""

    def __init__(self, watched: set[Place]) -> None:
        self._functions: defaultdict[Place, list[FunctionType]] = defaultdict(list)
        self._called: set[Place] = set()
        self._called_by: defaultdict[Place, set[str]] = defaultdict(set)
        for function in gc.get_objects():
            if isinstance(function, FunctionType):
                self._functions[function.__code__.co_filename, function.__code__.co_firstlineno].append(function)
        self._watch(watched)

    @contextmanager
    def test(self, name: str) -> Iterator[None]:
        """Note what is called from here on under the name of a test."""
        # What an earlier test has left in a cache, this one would not be seen to call.
        clear_caches()
        self._called.clear()
        yield
        for place in self._called:
            self._called_by[place].add(name)

    def tests_of(self, place: Place) -> frozenset[str]:
        return frozenset(self._called_by[place])

    def rewrite(self, place: Place, source: bytes) -> None:
        """Let a function do from now on what the text of its module says."""
        before, after = (_outermost(compile(text, place[0], "exec")) for text in (Path(place[0]).read_bytes(), source))
        self._become(place, next(new for old, new in zip(before, after, strict=True) if old.co_firstlineno == place[1]))

    def _become(self, place: Place, code: CodeType) -> None:
        """Give the function its new code, and those that it has made already theirs: tables are full of them."""
        assert self._functions[place], f"no function begins at {place}"
        for new in _with_inner(code):
            for function in self._functions[place[0], new.co_firstlineno]:
                old = function.__code__
                if (old.co_qualname, old.co_freevars) == (new.co_qualname, new.co_freevars):
                    function.__code__ = new
        clear_caches()

    def _watch(self, watched: set[Place]) -> None:
        vars(builtins)[_Watch.NAME] = self._called.add
        for path in {path for path, _ in watched}:
            codes = _outermost(compile(_Watch(path).visit(ast.parse(Path(path).read_bytes())), path, "exec"))
            for code in codes:
                if (path, code.co_firstlineno) in watched:
                    self._become((path, code.co_firstlineno), code)


class _Watch(ast.NodeTransformer):
    """Lets each function say first that it is called; one within another says it of that."""

    NAME = "_called_"

    def __init__(self, path: str) -> None:
        self._path = path

    def visit_FunctionDef(self, function: ast.FunctionDef) -> ast.FunctionDef:
        for one in [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef)]:
            (said,) = ast.parse(f"{self.NAME}(({self._path!r}, {first_line(function)}))").body
            for node in ast.walk(said):
                ast.copy_location(node, one.body[0])
            one.body.insert(0, said)
        return function


def first_line(function: ast.FunctionDef) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _outermost(code: CodeType) -> Iterator[CodeType]:
    """Yield the functions of a module and of its classes: a class's own code is no function's."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from [constant] if constant.co_flags & CO_NEWLOCALS else _outermost(constant)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the named functions it makes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and constant.co_name.isidentifier():
            yield from _with_inner(constant)


def clear_caches() -> None:
    """Forget what functions of ours remember."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("reconciler."):
            for value in [*vars(module).values()]:
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
