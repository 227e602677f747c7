"""Is each kind of mistake made where it matters, and does a process live with it?"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from changes import Kind, mutations
from living import Living
from trial import AREAS, Mutant, draw

MADE = [
    ("return a < b", Kind.COMPARISON, ["return (a <= b)"]),
    ("return a and not b", Kind.BOOLEAN, ["return (a or not b)", "return a and (b)"]),
    ("return 'x' if a else 'y'", Kind.CONDITION, ["return 'x' if True else 'y'", "return 'x' if False else 'y'"]),
    ("return [b for b in c if b]", Kind.CONDITION, ["return [b for b in c if True]"]),
    ("return a, 1, 'x', ''", Kind.CONSTANT, ["return a, 2, 'x', ''", "return a, 1, '', ''", "return a, 1, 'x', 'mutant'"]),
    ("return a + b", Kind.ARITHMETIC, ["return (a - b)"]),
    ("a.b = 1; raise c", Kind.REMOVED, ["pass; raise c", "a.b = 1; pass"]),
    ("b(a, 1, c=2)", Kind.SWAPPED, ["(b(1, a, c=2))"]),
    ("b(a, 1, c=2)", Kind.LEFT_OUT, ["(b(a, 1))"]),
    ("return a", Kind.NONE, ["return None"]),
]
UNTOUCHED = ['"""Say a."""', "b: int = a", "return a", "return cast('int', a)"]


@pytest.mark.parametrize(("line", "kind", "wanted"), MADE, ids=[f"{kind}: {line}" for line, kind, _ in MADE])
def test_a_mistake_is_made_of(line: str, kind: Kind, wanted: list[str]) -> None:
    source = f"def f(a): {line}\n".encode()
    made = [one.applied(source).decode() for one in mutations(source) if one.kind is kind]
    assert sorted(made) == sorted(f"def f(a): {text}\n" for text in wanted)


@pytest.mark.parametrize("line", UNTOUCHED)
def test_what_decides_nothing_stays(line: str) -> None:
    assert {one.kind for one in mutations(f"def f(a: 'int' = 1): {line}\n".encode())} <= {Kind.NONE}


def test_what_stands_outside_of_functions_stays() -> None:
    assert mutations(b"import a\nB = 1 + 2\nclass C:\n    d = 'x'\n") == ()


@pytest.mark.parametrize("name", AREAS)
def test_a_mistake_makes_another_module(name: str) -> None:
    path = AREAS[name].package / "render.py"
    source = path.read_bytes()
    for one in mutations(source):
        changed = one.applied(source)
        assert changed != source
        compile(changed, str(path), "exec")


def test_as_many_of_each_kind_are_drawn_and_the_same_ones_again() -> None:
    source = b"def f(a):\n" + b"    if a < 1: g('x', a)\n" * 9
    possible = [Mutant(Path("m.py"), one) for one in mutations(source)]
    drawn = draw(possible, 1, 10)
    kinds = [one.mutation.kind for one in drawn]
    assert {kinds.count(kind) for kind in set(kinds)} == {2}
    assert drawn == draw(possible, 1, 10) != draw(possible, 2, 10)


SUMS = """\
def double(a):
    return a + a


def triple(a):
    return double(a) + a


def adding(b):
    def add(a):
        return a + b

    return add


TABLE = {"one more": adding(1)}
"""


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    path = tmp_path / "sums.py"
    path.write_text(SUMS)
    spec = importlib.util.spec_from_file_location("sums", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_process_lives_with_a_mistake(module: ModuleType) -> None:
    path = Path(str(module.__file__))
    first = next(one for one in mutations(path.read_bytes()) if one.kind is Kind.ARITHMETIC)
    assert (module.double(2), module.triple(2)) == (4, 6)
    Living(set()).rewrite((str(path), first.function), first.applied(path.read_bytes()))
    assert (module.double(2), module.triple(2)) == (0, 2)


def test_it_is_known_which_test_calls_what(module: ModuleType) -> None:
    double, triple = (str(module.__file__), 1), (str(module.__file__), 5)
    living = Living({double, triple})
    for name, function in (("one", module.double), ("two", module.triple)):
        with living.test(name):
            function(2)
    assert living.tests_of(double) == {"one", "two"}
    assert living.tests_of(triple) == {"two"}


def test_what_was_made_before_by_a_function_makes_its_mistakes_too(module: ModuleType) -> None:
    place = (str(module.__file__), 9)
    living = Living({place})
    with living.test("one"):
        assert module.TABLE["one more"](2) == 3
    assert living.tests_of(place) == {"one"}
    source = Path(place[0]).read_bytes()
    mistake = next(one for one in mutations(source) if one.kind is Kind.ARITHMETIC and one.function == 9)
    living.rewrite(place, mistake.applied(source))
    assert module.TABLE["one more"](2) == 1
