"""Say in plain words what libyaml found wrong, where, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml import MarkedYAMLError, YAMLError

from reconciler.errors import Mark, Problem
from reconciler.load.text import LINE_BREAK


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one of libyaml's sentences means to the person who wrote the file.

    `at_start` puts the mark where the unfinished thing began instead of where reading stopped.
    """

    message: str
    hint: str
    at_start: bool = False


_QUOTE = _Reading("the quote opened here is never closed", "close it, or double a quote that is part of the text", True)
_BRACKET = _Reading('the "[" opened here is not closed', "check for a missing `]` or `,`", True)
_BRACE = _Reading('the "{" opened here is not closed', "check for a missing `}` or `,`", True)
_INDENTATION = "keys of one mapping must start in the same column"
_READINGS = {
    "could not find expected ':'": _Reading("a key without its colon", "write `key: value`, with a space after the colon"),
    "block sequence entries are not allowed in this context": _Reading(
        "a `- ` item where no list can start", "put the list on lines of its own, below the key"
    ),
    "mapping keys are not allowed in this context": _Reading("a `? ` key where no mapping can start", _INDENTATION),
    "block mapping keys are not allowed in this context": _Reading("a key where no mapping can start", _INDENTATION),
    "found unexpected end of stream": _QUOTE,
    "found unexpected document indicator": _QUOTE,
    "found unknown escape character": _Reading(
        "an escape that YAML does not know, inside double quotes", "write `\\\\` for a backslash, or use single quotes"
    ),
    "did not find expected hexdecimal number": _Reading(
        "an unfinished `\\x`, `\\u` or `\\U` escape", "they take 2, 4 and 8 hexadecimal digits"
    ),
    "found invalid Unicode character escape code": _Reading("an escape that is no character", "use another code point"),
    "did not find expected alphabetic or numeric character": _Reading(
        "`&` and `*` start an anchor or an alias, and here no name follows", "quote text that starts with & or *"
    ),
    "found undefined tag handle": _Reading("a tag that is nowhere declared", "quote text that starts with !"),
    "did not find expected tag URI": _Reading("an unfinished tag", "quote text that starts with !"),
    "did not find expected whitespace or line break": _Reading("a tag runs into other text", "put a space after it"),
    "did not find expected comment or line break": _Reading(
        "text on the line of `|` or `>`", "start the text on the next line, or quote the value"
    ),
    "found an indentation indicator equal to 0": _Reading("`|0` is no indentation", "use 1 to 9, or leave it out"),
    "found a tab character where an indentation space is expected": _Reading("a tab used for indentation", "use spaces"),
    "found a tab character that violates indentation": _Reading("a tab used for indentation", "use spaces"),
    "did not find expected <document start>": _Reading(
        "text after the end of the document", "check the indentation of this line, or add `---` above it"
    ),
    "did not find expected key": _Reading("this line does not line up with the mapping it is in", _INDENTATION),
    "did not find expected '-' indicator": _Reading(
        "this line does not line up with the list it is in", "start every item of the list with `- ` in one column"
    ),
    "did not find expected ',' or ']'": _BRACKET,
    "did not find expected ',' or '}'": _BRACE,
    "did not find expected node content": _Reading("a value is missing here", "write the value, or remove the comma"),
    "found incompatible YAML document": _Reading("Compose reads no YAML version but 1.1", "remove the %YAML line"),
    "found unknown directive name": _Reading("an unknown `%` directive", "quote text that starts with %"),
}
_STARTERS = {
    "\t": _Reading("a tab used for indentation", "use spaces"),
    "@": _Reading('a value cannot start with "@"', "put it in quotes"),
    "`": _Reading('a value cannot start with "`"', "put it in quotes"),
    "%": _Reading('a value cannot start with "%"', "put it in quotes"),
}


_SECOND_COLON = _Reading("a second `: ` in one line", "quote a value that holds `: `")
_TOO_FAR = _Reading("a key where no mapping can start", "check the indentation here, and the colon on the line above")
_AFTER_VALUE = _Reading("text after the end of a value", "quote the value as a whole, and double a quote inside it")
_ENDS_EARLY = _Reading("the file ends where a value is expected", "check for a missing `]` or `}`")
_RUN_TOGETHER = _Reading("a colon without a space after it", "write `key: value`")
_MISALIGNED = ("did not find expected key", "did not find expected '-' indicator")
_KEY_RUN_TOGETHER = re.compile(r"\s*(?:- +)?[\w.\-]+:(?=[^\s/])")


def explain(error: YAMLError, text: str, path: str) -> Problem:
    """Return the problem behind one of libyaml's errors. The mark is 1-based; nothing of the text is quoted."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        # The reader's own errors carry no place; text.decode has refused all but a few odd characters before.
        return Problem("R003", "the file holds a character that YAML does not allow", Mark(path))
    lines = LINE_BREAK.split(text)
    place = Mark(path, error.problem_mark.line + 1, error.problem_mark.column + 1)
    reading = _reading(error.problem or "", place, lines)
    if reading is _RUN_TOGETHER:
        place = _colon_above(place, lines) or place
    elif reading.at_start and error.context_mark:
        place = Mark(path, error.context_mark.line + 1, error.context_mark.column + 1)
    return Problem("R003", reading.message, place, hint=reading.hint)


def _reading(problem: str, place: Mark, lines: list[str]) -> _Reading:
    line = _line(place.line, lines)
    if problem == "found character that cannot start any token":
        character = line[place.column - 1 : place.column]
        return _STARTERS.get(character, _Reading("a value cannot start with this", "put it in quotes"))
    if problem == "mapping values are not allowed in this context":
        if ": " in line[: place.column - 1]:
            return _SECOND_COLON
        return _RUN_TOGETHER if _colon_above(place, lines) else _TOO_FAR
    if problem in _MISALIGNED and line[: place.column - 1].strip():
        return _AFTER_VALUE
    if problem == "did not find expected node content" and place.line == len(lines) and not line:
        return _ENDS_EARLY
    return _READINGS.get(problem, _Reading(f"not YAML: {problem}", "check quotes, brackets and indentation here"))


def _colon_above(place: Mark, lines: list[str]) -> Mark | None:
    """Return where the line above has a colon that runs into its value: libyaml complains one line too late."""
    above = _KEY_RUN_TOGETHER.match(_line(place.line - 1, lines))
    return Mark(place.path, place.line - 1, above.end()) if above else None


def _line(number: int, lines: list[str]) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""
