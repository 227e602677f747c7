"""Replace `$VARIABLE` and `${VARIABLE…}` in text by Compose's grammar, within bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.text import brief

Lookup = Callable[[str], str | None]

MAX_NESTING = 32
MAX_CHARACTERS = 1 << 20

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]")
_BRACES = re.compile(r"[{}]")
_ESCAPE_HINT = "write $$ for a literal $"


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The text after interpolation.

    `substituted` is true when any reference was replaced; `$$` alone is none. `unset` names the variables that were
    wanted without a default and have no value, in order: Compose warns and puts nothing there.
    """

    text: str
    substituted: bool = False
    unset: tuple[str, ...] = ()


@dataclass(slots=True)
class Budget:
    """How many characters may still come out of variables: one for a whole file, or two lines could fill the memory."""

    characters: int = MAX_CHARACTERS

    def spend(self, characters: int) -> None:
        """Take from what is left. Raises ValueError when that is not enough."""
        self.characters -= characters
        if self.characters < 0:
            raise ValueError(f"interpolation adds more than {MAX_CHARACTERS:,} characters")


def interpolate(
    text: str, lookup: Lookup, mark: Mark | None = None, at: str = "", budget: Budget | None = None
) -> Interpolated:
    """Return the text with its variables replaced. `mark` and `at` say where it stands, for the message.

    A default is interpolated even when it is not used, as in Compose. Raises InvalidState for broken syntax, for a
    required variable without a value, and when the budget is spent; each call has its own unless one is given.
    """
    if "$" not in text:
        return Interpolated(text)
    substitution = _Substitution(lookup, budget or Budget())
    try:
        result = substitution.expand(text, 0)
    except _Malformed as error:
        raise InvalidState([Problem(error.code, str(error), mark, at, error.hint)]) from None
    except ValueError as error:
        raise InvalidState([Problem("R014", str(error), mark, at, "use fewer or shorter variables")]) from None
    return Interpolated(result, substitution.references > 0, tuple(dict.fromkeys(substitution.unset)))


class _Malformed(Exception):
    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Reference:
    """What stands between two braces, and where the text goes on: `${name}` or `${name:-word}`."""

    name: str
    end: int
    operator: str = ""
    word: str = ""


@dataclass(slots=True)
class _Substitution:
    """One interpolation: what it looks up in, and what it met on the way."""

    lookup: Lookup
    budget: Budget
    references: int = 0
    unset: list[str] = field(default_factory=list)

    def expand(self, text: str, depth: int) -> str:
        if depth > MAX_NESTING:
            raise _invalid(f"defaults nested more than {MAX_NESTING} deep", "set the variable instead")
        pieces: list[str] = []
        position = 0
        lines = _Lines(text)
        while (dollar := text.find("$", position)) >= 0:
            piece, end = self._reference(text, dollar, lines, depth)
            pieces += text[position:dollar], piece
            position = end
            self.budget.spend(len(piece))
        return "".join(pieces) + text[position:]

    def _reference(self, text: str, dollar: int, lines: _Lines, depth: int) -> tuple[str, int]:
        """Return what the `$` at this position becomes, and where the text goes on."""
        start = dollar + 1
        following = text[start : start + 1]
        if following == "$":
            return "$", start + 1
        if following == "{":
            reference = _braced(text, start, lines)
            return self._substitute(reference, depth), reference.end
        name = _NAME.match(text, start)
        return (self._plain(name.group()), name.end()) if name else ("$", start)

    def _substitute(self, reference: _Reference, depth: int) -> str:
        if not reference.operator:
            return self._plain(reference.name)
        self.references += 1
        word = self.expand(reference.word, depth + 1)
        return _apply(reference, self.lookup(reference.name), word)

    def _plain(self, name: str) -> str:
        self.references += 1
        value = self.lookup(name)
        if value is None:
            self.unset.append(name)
        return value or ""


class _Lines:
    """Where the last `}` of a line stands, found once a line: a reference never runs past it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = -1
        self._brace = -1

    def last_brace(self, position: int) -> int:
        if position > self._end:
            end = self._text.find("\n", position)
            self._end = len(self._text) if end < 0 else end
            self._brace = self._text.rfind("}", position, self._end)
        return self._brace


def _braced(text: str, brace: int, lines: _Lines) -> _Reference:
    """Read the reference whose `{` stands at this position.

    Like Compose's expression it first reaches for the line's last `}` and then looks for the one that balances, and
    if none does it keeps the last.
    """
    name = _NAME.match(text, brace + 1)
    if name is None:
        raise _no_name(text, brace + 1)
    if text[name.end() : name.end() + 1] == "}":
        return _Reference(name.group(), name.end() + 1)
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        raise _no_operator(text, name)
    last = lines.last_brace(brace)
    if last < operator.end():
        raise _invalid(f"`${{{brief(name.group())}{operator.group()}` is never closed", "close it with } on the same line")
    end = _balanced(text, brace, last)
    return _Reference(name.group(), end + 1, operator.group(), text[operator.end() : end])


def _balanced(text: str, brace: int, last: int) -> int:
    """Return the `}` that closes the `{` at this position, or `last`. The character after a `{` never counts."""
    depth = 0
    skipped = -1
    for match in _BRACES.finditer(text, brace, last + 1):
        if match.start() == skipped:
            continue
        if match.group() == "{":
            depth, skipped = depth + 1, match.start() + 1
        else:
            depth -= 1
            if depth == 0:
                return match.start()
    return last


def _apply(reference: _Reference, value: str | None, word: str) -> str:
    # With a colon an empty value counts as none.
    present = value is not None and (value != "" or reference.operator[0] != ":")
    kind = reference.operator[-1]
    if kind == "+":
        return word if present else ""
    if present:
        return value or ""
    if kind == "-":
        return word
    # The message is shown as written: interpolated it could hold another variable's secret.
    message = f"required variable {brief(reference.name)} is missing a value"
    hint = f"set {brief(reference.name)} in the stack's .env file or in `environment` of reconciler.yaml"
    raise _Malformed("R017", f"{message}: {brief(reference.word)}" if reference.word else message, hint)


def _no_name(text: str, position: int) -> _Malformed:
    found = text[position : position + 1]
    if found == "}":
        return _invalid("`${}` names no variable", _ESCAPE_HINT)
    if not found:
        return _invalid("`${` is never closed", _ESCAPE_HINT)
    return _invalid(f"a variable's name cannot start with {found!r}", f"letters, digits and _ only; {_ESCAPE_HINT}")


def _no_operator(text: str, name: re.Match[str]) -> _Malformed:
    found = text[name.end() : name.end() + 2]
    if not found:
        return _invalid(f"`${{{brief(name.group())}` is never closed", _ESCAPE_HINT)
    shown = found if found[0] == ":" else found[0]
    known = "after the name Compose knows :- - :? ? :+ +"
    return _invalid(f"`${{{brief(name.group())}` goes on with {shown!r}", f"{known}; {_ESCAPE_HINT}")


def _invalid(reason: str, hint: str) -> _Malformed:
    return _Malformed("R007", f"invalid interpolation format: {reason}", hint)
