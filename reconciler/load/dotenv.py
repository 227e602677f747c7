"""Read `.env` and env_file files by Compose's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem, Severity
from reconciler.load.interpolate import Budget, Lookup, interpolate
from reconciler.load.text import brief, decode

MAX_STATEMENTS = 10_000
MAX_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What an env file says.

    `variables` maps each name, in the file's order, to its value and place. The value is None for a bare `KEY` the
    lookup has no value for: Compose leaves such a variable out. No mark is literal: every value may be a secret.
    `unset` names what was interpolated without a value. `warnings` are traps Compose is silent about.
    """

    variables: dict[str, tuple[str | None, Mark]]
    unset: tuple[tuple[str, Mark], ...] = ()
    warnings: tuple[Problem, ...] = ()


def parse_env(data: bytes, path: str, lookup: Lookup, earlier: Mapping[str, str] | None = None) -> EnvFile:
    """Read an env file. Names are looked up in `lookup`, then among the file's own variables so far, then `earlier`.

    Raises InvalidState with every problem found; no message holds a value.
    """
    reading = _Reading(decode(data, path), path, lookup, earlier or {})
    reading.statements()
    if reading.problems:
        raise InvalidState(reading.problems)
    return EnvFile(reading.variables, tuple(reading.unset), tuple(reading.warnings))


def parse_raw_env(data: bytes, path: str, lookup: Lookup) -> EnvFile:
    """Read an env file of `format: raw`: one `NAME=value` a line, quotes and `$` kept as they are."""
    variables: dict[str, tuple[str | None, Mark]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(decode(data, path).split("\n"), start=1):
        mark = Mark(path, number, 1, literal=False)
        line = line.removesuffix("\r").lstrip()
        name, equals, value = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not name or any(map(str.isspace, name)):
            problems.append(_bad_name(name, mark))
        else:
            variables[name] = (value if equals else lookup(name), mark)
        _stop_when_too_much(len(variables), problems, mark)
    if problems:
        raise InvalidState(problems)
    return EnvFile(variables)


_GAP = re.compile(r"(?:\s++|#[^\n]*+)*+")
_HEAD = re.compile(r"(?:export[\t\r \xa0]++)?+([^=:\n]*+)([=:]?)[\t\r \xa0]*+")
_FOREIGN = re.compile(r"[^\w.\-\[\]]")
_QUOTED = {
    '"': re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]++|\\.)*+)'", re.DOTALL),
}
_LINE = re.compile(r"[^\n]*")
_AFTER_QUOTE = re.compile(r"[\t\r \xa0]*+[^\s#]")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\"\\])|(\$)|0([0-7]{3})|0([0-9]{0,2}))")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}


@dataclass(slots=True)
class _Reading:
    """One pass over an env file, statement by statement."""

    text: str
    path: str
    lookup: Lookup
    earlier: Mapping[str, str]
    variables: dict[str, tuple[str | None, Mark]] = field(default_factory=dict)
    unset: list[tuple[str, Mark]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _statements: int = 0
    _line: int = 1
    _counted: int = 0
    # Each line may double the one before: the file as a whole is bounded, not only one value.
    _budget: Budget = field(default_factory=Budget)

    def statements(self) -> None:
        position = self._next(0)
        while position < len(self.text):
            position = self._next(self._statement(position))
            self._statements += 1
            _stop_when_too_much(self._statements, self.problems, self._mark(position))

    def _next(self, position: int) -> int:
        return _end(_GAP, self.text, position)

    def _statement(self, start: int) -> int:
        """Read the statement that starts here and return where the next may start."""
        mark = self._mark(start)
        head = _HEAD.match(self.text, start)
        name = head.group(1).rstrip() if head else ""
        if head is None or not name or _FOREIGN.search(name):
            self.problems.append(_bad_name(name, mark))
            return _end(_LINE, self.text, start)
        if not head.group(2):
            self._inherit(name, mark)
            return head.end()
        quote = self.text[head.end() : head.end() + 1]
        if quote in _QUOTED:
            return self._quoted(name, quote, head.end(), mark)
        return self._unquoted(name, head.end(), mark)

    def _mark(self, position: int) -> Mark:
        self._line += self.text.count("\n", self._counted, position)
        self._counted = position
        return Mark(self.path, self._line, position - self.text.rfind("\n", 0, position), literal=False)

    def _inherit(self, name: str, mark: Mark) -> None:
        value = self.lookup(name)
        if value is not None or name not in self.variables:
            self.variables[name] = (value, mark)

    def _quoted(self, name: str, quote: str, start: int, mark: Mark) -> int:
        match = _QUOTED[quote].match(self.text, start)
        if match is None:
            self.problems.append(
                Problem("R008", f"the quote around the value of {brief(name)} is never closed", mark, brief(name))
            )
            return len(self.text)
        # Inside either kind of quotes a backslash before that quote only keeps it from closing.
        value = match.group(1).replace("\\" + quote, quote) if quote == "'" else _unescape(match.group(1))
        self._assign(name, value, mark, interpolated=quote == '"')
        if _AFTER_QUOTE.match(self.text, match.end()):
            self.warnings.append(_after_quote(name, mark))
        return match.end()

    def _unquoted(self, name: str, start: int, mark: Mark) -> int:
        end = _end(_LINE, self.text, start)
        value = self.text[start:end].partition(" #")[0].rstrip()
        self._assign(name, value, mark, interpolated=True)
        return end

    def _assign(self, name: str, value: str, mark: Mark, *, interpolated: bool) -> None:
        if interpolated:
            try:
                result = interpolate(value, self._value, mark, brief(name), self._budget)
            except InvalidState as error:
                self.problems += error.problems
                return
            value = result.text
            self.unset += [(unset, mark) for unset in result.unset]
        self.variables[name] = (value, mark)

    def _value(self, name: str) -> str | None:
        value = self.lookup(name)
        if value is None and name in self.variables:
            return self.variables[name][0]
        return self.earlier.get(name) if value is None else value


def _stop_when_too_much(statements: int, problems: list[Problem], mark: Mark) -> None:
    """Raise InvalidState where the rest of a file would cost much and tell nothing."""
    if statements > MAX_STATEMENTS:
        message = f"the file holds more than {MAX_STATEMENTS:,} variables"
        raise InvalidState([*problems, Problem("R012", message, mark, hint="split it")])
    if len(problems) >= MAX_PROBLEMS:
        message = f"{MAX_PROBLEMS} problems in one file: the rest is not shown"
        raise InvalidState([*problems, Problem("R013", message, mark)])
    # Once the budget is spent every further line would only say so again.
    if problems and problems[-1].code == "R014":
        raise InvalidState(problems)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _unescape(text: str) -> str:
    """Replace the escapes of a double-quoted value. `\\$` becomes `$$`, which interpolation turns into `$`."""
    return _ESCAPE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    letter, dollar, octal, digits = match.groups()
    if letter:
        return _ESCAPES[letter]
    if dollar:
        return "$$"
    if octal and 0 < int(octal, 8) < 0o200:
        return chr(int(octal, 8))
    # As in Compose a `\0` without three octal digits loses its zero; so does one that is no ASCII character.
    return "\\" + (octal or digits)


def _bad_name(name: str, mark: Mark) -> Problem:
    foreign = _FOREIGN.search(name)
    if foreign is None:
        reason = "a variable without a name"
    elif foreign.group().isspace():
        reason = "a variable's name holds a space"
    else:
        reason = f"a variable's name holds {foreign.group()!r}"
    return Problem("R008", reason, mark, hint="write NAME=value; letters, digits and _ . - [ ] make a name")


def _after_quote(name: str, mark: Mark) -> Problem:
    message = f"the text after the quoted value of {brief(name)} is read as another variable"
    return Problem("R009", message, mark, brief(name), "put the whole value in quotes", severity=Severity.WARNING)
