"""How is what is wrong written: for a person, a program, a code scanner, or a pull request?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reconciler import __version__
from reconciler.cli.printing import say
from reconciler.errors import InvalidState, Problem, ReconcilerError, Severity

Problems = Sequence[Problem]


def complain(error: ReconcilerError) -> None:
    """Print what is wrong on stderr: every problem of a wrong file, else one line; then what to do."""
    if isinstance(error, InvalidState):
        complain_of(error.problems)
        return
    from reconciler.load.text import printable

    hint = f"hint: {printable(error.hint)}\n" if error.hint else ""
    say(f"error: {printable(str(error))}\n{hint}", sys.stderr)


def complain_of(problems: Iterable[Problem]) -> None:
    """Print problems or warnings on stderr, as every verb does."""
    say(_listed(problems), sys.stderr)


def text(problems: Problems, summary: str) -> str:
    """Write problems for a person, each with its source line, and the summary as last line."""
    return f"{_listed(problems)}{summary}\n"


def as_json(problems: Problems, summary: str) -> str:
    """Write problems as one JSON document."""
    return _dumped({"summary": summary, "problems": [_plain(problem) for problem in problems]})


def sarif(problems: Problems, summary: str) -> str:
    """Write problems as SARIF 2.1.0 (OASIS standard), which code scanners take. It has no place for a summary."""
    rules = [{"id": code} for code in sorted({problem.code for problem in problems})]
    driver = {"name": "reconciler", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_result(problem) for problem in problems]}
    return _dumped({"$schema": _SARIF, "version": "2.1.0", "runs": [run]})


def github(problems: Problems, summary: str) -> str:
    """Write problems as GitHub's workflow commands, which show them at their lines in a pull request."""
    return "".join(f"{_command(problem)}\n" for problem in problems) + f"{summary}\n"


FORMATS: Mapping[str, Callable[[Problems, str], str]] = {"text": text, "json": as_json, "sarif": sarif, "github": github}


def counted(problems: Iterable[Problem]) -> str:
    """Say how many errors and warnings there are: "2 errors, 1 warning"."""
    severities = [problem.severity for problem in problems]
    return f"{_count(severities.count(Severity.ERROR), 'error')}, {_count(severities.count(Severity.WARNING), 'warning')}"


def _listed(problems: Iterable[Problem]) -> str:
    from reconciler.load.excerpt import render_problem

    return "".join(f"{render_problem(problem)}\n\n" for problem in problems)


_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def _dumped(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(problem: Problem) -> dict[str, Any]:
    mark = problem.mark
    place = {"path": mark.path, "line": mark.line, "column": mark.column} if mark else {}
    said = {"severity": problem.severity.value, "code": problem.code, "message": problem.message}
    return {**said, **place, "at": problem.at, "hint": problem.hint, "excerpt": problem.excerpt}


def _result(problem: Problem) -> dict[str, Any]:
    said = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
    result: dict[str, Any] = {"ruleId": problem.code, "level": problem.severity.value, "message": {"text": said}}
    return {**result, "locations": [_location(problem)]} if problem.mark else result


def _location(problem: Problem) -> dict[str, Any]:
    from urllib.parse import quote

    mark = problem.mark
    assert mark
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(mark.path)}}
    if mark.line:
        place["region"] = {"startLine": mark.line, **({"startColumn": mark.column} if mark.column else {})}
    where = {"logicalLocations": [{"fullyQualifiedName": problem.at}]} if problem.at else {}
    return {"physicalLocation": place, **where}


def _command(problem: Problem) -> str:
    """The escapes are the ones that actions/toolkit documents: one set for the message, a wider one for properties."""
    mark = problem.mark
    place = {"file": mark.path, "line": mark.line, "col": mark.column} if mark else {}
    properties = {name: value for name, value in {**place, "title": problem.code}.items() if value}
    listed = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTY)}" for name, value in properties.items())
    said = f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    return f"::{problem.severity.value} {listed}::{_escaped(said, _IN_MESSAGE)}"


_IN_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_MESSAGE, ":": "%3A", ",": "%2C"}


def _escaped(value: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in value)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
