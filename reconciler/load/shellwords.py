"""Split a command written as one string into its words, as Compose does."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.errors import InvalidState, Mark, Problem

_SPACES = " \t\r\n"
_OPERATORS = ";&|<>"


@dataclass(frozen=True, slots=True)
class Words:
    """The words, and the shell operator at which Compose stops reading without a word ("" when there is none)."""

    words: tuple[str, ...]
    stopped_at: str = ""


def split(text: str, mark: Mark | None = None, at: str = "") -> Words:
    """Return a command's words. Quotes and backslashes work, nothing is expanded, and `#` starts no comment.

    Everything from the first unquoted one of `; & | < >` on is lost, as in Compose. Raises InvalidState for an open
    quote or parenthesis and for a backslash at the end.
    """
    splitter = _Splitter()
    for character in text:
        if not splitter.take(character):
            break
    splitter.end_word()
    if splitter.broken or splitter.escaped or splitter.open:
        hint = "quote the whole argument, or write the command as a list"
        raise InvalidState([Problem("R052", f"the command cannot be split: {splitter.fault()}", mark, at, hint)])
    return Words(tuple(splitter.words), splitter.stopped_at)


@dataclass(slots=True)
class _Splitter:
    """Reads one character at a time. `open` holds what must still be closed: quotes, a backtick, `)` for `$(`."""

    words: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=set)
    escaped: bool = False
    broken: bool = False
    stopped_at: str = ""
    _pieces: list[str] = field(default_factory=list)
    _started: bool = False

    def take(self, character: str) -> bool:
        """Take the next character; return whether reading goes on."""
        if self.escaped:
            self.escaped = False
            self._add(character)
        elif character == "\\" and "'" not in self.open:
            self.escaped = True
        elif character in _SPACES and not self.open:
            self.end_word()
        elif character in _OPERATORS and not self.open:
            self._stop(character)
            return False
        elif not self._quote(character):
            self._add(character)
        return not self.broken

    def end_word(self) -> None:
        if self._started:
            self.words.append("".join(self._pieces))
        self._pieces, self._started = [], False

    def fault(self) -> str:
        if self.broken:
            return "a parenthesis outside quotes"
        return "a backslash at its end" if self.escaped else f"{min(self.open)} is never closed"

    def _add(self, character: str) -> None:
        self._pieces.append(character)
        self._started = True

    def _quote(self, character: str) -> bool:
        """Open or close what the character opens or closes; return whether it is used up by that."""
        if character in "'\"" and not self.open & ({"'", '"', ")"} - {character}):
            # An empty pair is a word too, though an open quote alone is none.
            self._started = self._started or character in self.open
            self.open ^= {character}
            return True
        if character == "`" and not self.open & {"'", '"', ")"}:
            self.open ^= {"`"}
        elif character in "()" and not self.open & {"'", '"', "`"}:
            self._parenthesis(character)
        return False

    def _parenthesis(self, character: str) -> None:
        if character == ")":
            self.open ^= {")"}
        elif not self.open and self._pieces[-1:] == ["$"]:
            self.open.add(")")
        else:
            self.broken = True

    def _stop(self, operator: str) -> None:
        self.stopped_at = operator
        # `2>` names a stream: what looks like its number is part of the operator.
        if operator == ">" and self._pieces and self._pieces[0] in "0123456789":
            self._started = False
