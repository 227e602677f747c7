"""Replace `$VARIABLE` and `${VARIABLE…}` in text by Compose's grammar, within bounds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.text import brief

Lookup = Callable[[str], str | None]

MAX_NESTING = 32
MAX_CHARACTERS = 1 << 20

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]")
_BRACES_AND_BREAKS = re.compile(r"[{}\n]")
_ESCAPE_HINT = "write $$ for a literal $"


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The text after interpolation.

    `substituted` is true when any reference was replaced; `$$` alone is none. `unset` names the variables that were
    wanted without a default and have no value, in order: Compose warns and puts nothing there. `bare` are those of them
    that stand without braces, as in a password that merely holds a `$`.
    """

    text: str
    substituted: bool = False
    unset: tuple[str, ...] = ()
    bare: frozenset[str] = frozenset()


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
    substitution = _Substitution(text, lookup, budget or Budget())
    try:
        result = substitution.expand(0, len(text), 0)
    except _Malformed as error:
        raise InvalidState([Problem(error.code, str(error), mark, at, error.hint)]) from None
    except ValueError as error:
        raise InvalidState([Problem("R014", str(error), mark, at, "use fewer or shorter variables")]) from None
    unset = tuple(dict.fromkeys(substitution.unset))
    return Interpolated(result, substitution.references > 0, unset, frozenset(unset) & substitution.bare)


class _Malformed(Exception):
    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Reference:
    """What stands between two braces, `name` or `name:-word`: the word's range, and where the text goes on."""

    name: str
    end: int
    operator: str = ""
    word: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Substitution:
    """One interpolation: what it reads, what it looks up in, and what it met on the way.

    Everything works on ranges of the one text, so that a default inside a default is never read twice.
    """

    text: str
    lookup: Lookup
    budget: Budget
    references: int = 0
    unset: list[str] = field(default_factory=list)
    bare: set[str] = field(default_factory=set)
    _braces: _Braces | None = None

    def expand(self, start: int, end: int, depth: int) -> str:
        """Return the range of the text with its references replaced."""
        if depth > MAX_NESTING:
            raise _invalid(f"defaults nested more than {MAX_NESTING} deep", "set the variable instead")
        pieces: list[str] = []
        position = start
        while (dollar := self.text.find("$", position, end)) >= 0:
            piece, following = self._reference(dollar + 1, end, depth)
            pieces += self.text[position:dollar], piece
            position = following
            self.budget.spend(len(piece))
        return "".join(pieces) + self.text[position:end]

    def _reference(self, start: int, end: int, depth: int) -> tuple[str, int]:
        """Return what the `$` before this position becomes, and where the text goes on."""
        following = self.text[start : min(start + 1, end)]
        if following == "$":
            return "$", start + 1
        if following == "{":
            reference = self._braced(start, end)
            return self._substitute(reference, depth), reference.end
        name = _NAME.match(self.text, start, end)
        if name is None:
            return "$", start
        self.bare.add(name.group())
        return self._plain(name.group()), name.end()

    def _braced(self, brace: int, end: int) -> _Reference:
        """Read the reference whose `{` stands at this position.

        Like Compose's expression it first reaches for the line's last `}` and then looks for the one that balances,
        and if none does it keeps the last.
        """
        name = _NAME.match(self.text, brace + 1, end)
        if name is None:
            raise _no_name(self.text[brace + 1 : min(brace + 2, end)])
        if self.text[name.end() : min(name.end() + 1, end)] == "}":
            return _Reference(name.group(), name.end() + 1)
        operator = _OPERATOR.match(self.text, name.end(), end)
        if operator is None:
            raise _no_operator(name.group(), self.text[name.end() : min(name.end() + 2, end)])
        self._braces = self._braces or _Braces(self.text)
        closing = self._braces.closing(brace, end)
        if closing < operator.end():
            shown = brief(name.group()) + operator.group()
            raise _invalid(f"`${{{shown}` is never closed", "close it with } on the same line")
        return _Reference(name.group(), closing + 1, operator.group(), (operator.end(), closing))

    def _substitute(self, reference: _Reference, depth: int) -> str:
        if not reference.operator:
            return self._plain(reference.name)
        self.references += 1
        word = self.expand(*reference.word, depth + 1)
        raw = self.text[slice(*reference.word)]
        return _apply(reference, self.lookup(reference.name), word, raw)

    def _plain(self, name: str) -> str:
        self.references += 1
        value = self.lookup(name)
        if value is None:
            self.unset.append(name)
        return value or ""


class _Braces:
    """Where every brace of a text is closed, found in one pass."""

    def __init__(self, text: str) -> None:
        self._closing: dict[int, int] = {}
        self._closers: list[int] = []
        self._breaks: list[int] = []
        self._read(text)

    def closing(self, brace: int, end: int) -> int:
        """Return the `}` that balances the `{`, or else the last one on its line before `end`, or -1."""
        line_end = bisect_left(self._breaks, brace)
        limit = min(end, self._breaks[line_end]) if line_end < len(self._breaks) else end
        last = bisect_left(self._closers, limit) - 1
        if last < 0:
            return -1
        return min(self._closing.get(brace, limit), self._closers[last])

    def _read(self, text: str) -> None:
        opened: list[int] = []
        skipped = -1
        for match in _BRACES_AND_BREAKS.finditer(text):
            position, character = match.start(), match.group()
            if character == "\n":
                self._breaks.append(position)
            elif character == "}":
                self._closers.append(position)
                if opened and position != skipped:
                    self._closing[opened.pop()] = position
            elif position != skipped:
                # To Compose the character after a `{` is never a brace.
                opened.append(position)
                skipped = position + 1


def _apply(reference: _Reference, value: str | None, word: str, raw: str) -> str:
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
    raise _Malformed("R017", f"{message}: {brief(raw)}" if raw else message, hint)


def _no_name(found: str) -> _Malformed:
    if found == "}":
        return _invalid("`${}` names no variable", _ESCAPE_HINT)
    if not found:
        return _invalid("`${` is never closed", _ESCAPE_HINT)
    return _invalid(f"a variable's name cannot start with {found!r}", f"letters, digits and _ only; {_ESCAPE_HINT}")


def _no_operator(name: str, found: str) -> _Malformed:
    if not found:
        return _invalid(f"`${{{brief(name)}` is never closed", _ESCAPE_HINT)
    shown = found if found[0] == ":" else found[0]
    known = "after the name Compose knows :- - :? ? :+ +"
    return _invalid(f"`${{{brief(name)}` goes on with {shown!r}", f"{known}; {_ESCAPE_HINT}")


def _invalid(reason: str, hint: str) -> _Malformed:
    return _Malformed("R007", f"invalid interpolation format: {reason}", hint)
