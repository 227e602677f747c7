"""Read one bad input with the text layer alone, and print what a person would see.

Run as a program it reads one file: `python tests/load/bad_texts.py FILE`; its cost is measured that way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cost import tell_cost

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.dotenv import parse_env
from reconciler.load.excerpt import render_problem, with_excerpts
from reconciler.load.interpolate import interpolate
from reconciler.load.node import Node, Scalar
from reconciler.load.values import parse_bool, parse_bytes, parse_duration, parse_float, parse_int
from reconciler.load.yaml import parse

BAD = Path(__file__).parent / "bad"

_UNSET: dict[str, str] = {}
_READERS: dict[str, Callable[[str, Mark, str], Scalar]] = {
    **dict.fromkeys(("mem_limit", "memswap_limit", "shm_size"), parse_bytes),
    **dict.fromkeys(("stop_grace_period", "interval", "timeout"), parse_duration),
    **dict.fromkeys(("init", "read_only"), parse_bool),
    **dict.fromkeys(("replicas", "scale"), parse_int),
    **dict.fromkeys(("cpus", "cpu_percent"), parse_float),
}


def bad_texts() -> list[Path]:
    """Return the files that this layer refuses by itself: B01 to B33."""
    files = (path for path in sorted(BAD.iterdir()) if path.suffix != ".expected")
    return [path for path in files if path.name[0] == "B" and int(path.name[1:3]) <= 33]


def content(path: Path) -> bytes:
    """Return the bytes of a bad input. A `.recipe` lists texts and how often each is repeated."""
    if path.suffix != ".recipe":
        return path.read_bytes()
    return "".join(text * times for text, times in json.loads(path.read_text("utf-8"))).encode()


def refusal(path: Path, folder: Path) -> str:
    """Return the whole rendered refusal of one bad input, which is laid in the folder first; "" if it passes."""
    name = path.with_suffix(".yaml").name if path.suffix == ".recipe" else path.name
    (folder / name).write_bytes(content(path))
    problems = with_excerpts(_problems((folder / name).read_bytes(), name), DirectoryFiles(folder))
    return "".join(f"{render_problem(problem)}\n\n" for problem in problems)


def _problems(data: bytes, name: str) -> list[Problem]:
    found: list[Problem] = []
    try:
        if name.endswith(".env"):
            parse_env(data, name, _UNSET.get)
        else:
            for document in parse(data, name):
                found += _of_values(document, "")
    except InvalidState as error:
        found += error.problems
    return found


def _of_values(node: Node, at: str) -> Iterator[Problem]:
    for key, child in _children(node):
        below = f"{at}.{key}" if at else key
        if isinstance(child.value, dict | list):
            yield from _of_values(child, below)
        else:
            yield from _of_value(child, key, below)


def _children(node: Node) -> list[tuple[str, Node]]:
    if isinstance(node.value, dict):
        return list(node.value.items())
    return [(str(index), child) for index, child in enumerate(node.value)] if isinstance(node.value, list) else []


def _of_value(node: Node, key: str, at: str) -> Iterator[Problem]:
    value = node.value
    try:
        if isinstance(value, str):
            value = interpolate(value, _UNSET.get, node.mark, at).text
        if key in _READERS and isinstance(value, str | int | float):
            _READERS[key](value, node.mark, at)  # type: ignore[arg-type]  # sizes take numbers too
    except InvalidState as error:
        yield from error.problems


def _refuse_beside() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        refusal(Path(sys.argv[1]), Path(folder))


if __name__ == "__main__":
    tell_cost(_refuse_beside)
