"""Show a person what is wrong: the line it stands on, with its secrets hidden, and the word that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.text import LINE_BREAK, printable
from reconciler.ports import FileKind, Files

_MASK = "***"
SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN", re.IGNORECASE)
"""What a name contains whose value nobody may see."""
# `KEY: value`, `- KEY=value`, `--key value`, `"key", "value"`, in braces too: all that follows on the line is hidden.
_SECRET_ENTRY = re.compile(rf"""((?i:{SECRET_NAME.pattern})[\w.\-]*["']?(?:\s*[:=,]\s*|\s+))(\S.*)""")
# Compose's own list of secrets names files and variables, not what is in them.
_SECRETS = "secrets"
USER_INFO = re.compile(r"(\w://)[^\s/?#]*@")
"""A URL with user info, which may be a password; the group is what may be shown."""
_KEY_OF_LINE = re.compile(r"[\s\-]*([^\s:][^:]*):(?:\s|$)")
_WORD = re.compile(r"(?:[^\s,\[\]{}#\"':]|:(?=\S))+|\"[^\"]*\"|'[^']*'")
_YAML_NAME = re.compile(r"\.ya?ml$", re.IGNORECASE)
_WIDEST_EXCERPT = 120
_LONGEST_LINE = 1000
"""No more of a line is searched for secrets: that takes a time that grows with its square."""
_LONGEST_WORD = 64
_NEAR_ENOUGH = 0.7
# Nobody reads further, and every excerpt looks at the lines around its own.
_MOST_EXCERPTS = 200


def with_excerpts(problems: Iterable[Problem], files: Files) -> tuple[Problem, ...]:
    """Return the problems with the line each stands on, where there is one to show.

    Values whose key sounds secret and the user info of URLs are masked. Of an env file only the variable's name is
    ever shown. What cannot be read is left without an excerpt, and so is what comes after the first 200 problems.
    """
    sources = _Sources(files)
    rest = iter(problems)
    shown = tuple(_with_excerpt(problem, sources) for problem in islice(rest, _MOST_EXCERPTS))
    return (*shown, *rest)


def render_problem(problem: Problem) -> str:
    """Return a problem as text for a person: what, where, the line, what to do. No newline at the end."""
    text = f"{problem.severity.value}[{problem.code}]: {printable(problem.message)}"
    if problem.mark is not None:
        text += f"\n  --> {printable(str(problem.mark))}" + (f"   {printable(problem.at)}" if problem.at else "")
        if problem.excerpt:
            return f"{text}\n{_quoted(problem, problem.mark)}"
    return f"{text}\n  hint: {printable(problem.hint)}" if problem.hint else text


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `did you mean "…"?` for the nearest candidate, "" when none is near."""
    from difflib import get_close_matches

    if len(word) > _LONGEST_WORD:
        return ""
    nearest = get_close_matches(word, sorted(candidates), n=1, cutoff=_NEAR_ENOUGH)
    return f'did you mean "{nearest[0]}"?' if nearest else ""


class _Sources:
    """The lines of the files that problems name, each file read once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lines: dict[str, list[str]] = {}

    def line(self, mark: Mark) -> str:
        lines = self._of(mark.path)
        return lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""

    def above(self, mark: Mark) -> Iterator[str]:
        """Yield the lines that enclose the marked one by their indentation, the nearest first."""
        lines = self._of(mark.path)
        indent = _indent(self.line(mark))
        for line in reversed(lines[: max(mark.line - 1, 0)]):
            if line.strip() and _indent(line) < indent:
                indent = _indent(line)
                yield line

    def _of(self, path: str) -> list[str]:
        if path not in self._lines:
            self._lines[path] = self._read(path)
        return self._lines[path]

    def _read(self, path: str) -> list[str]:
        try:
            if self._files.kind(path) is not FileKind.FILE:
                return []
            return LINE_BREAK.split(self._files.read(path).decode("utf-8-sig"))
        except (InvalidState, UnicodeDecodeError):
            # The problem itself says what is wrong with the file; there is only no line to show.
            return []


def _with_excerpt(problem: Problem, sources: _Sources) -> Problem:
    mark = problem.mark
    if mark is None or problem.excerpt:
        return problem
    line = sources.line(mark)
    if not line.replace("\t", "").isprintable():
        return problem
    if not _YAML_NAME.search(mark.path):
        return replace(problem, excerpt=_name_only(line, mark), span=1)
    if _in_secret(problem, mark, sources) or mark.column > _WIDEST_EXCERPT:
        return problem
    shown = _masked(line)
    cut = shown if len(shown) <= _WIDEST_EXCERPT else shown[:_WIDEST_EXCERPT] + "…"
    return replace(problem, excerpt=cut, span=max(problem.span, _span(cut, mark.column)))


def _in_secret(problem: Problem, mark: Mark, sources: _Sources) -> bool:
    """Say whether something around the line makes it a secret's: then only a part of the value would be masked."""
    outer = problem.at.split(".")[:-1]
    if any(SECRET_NAME.search(name) for name in outer if name != _SECRETS):
        return True
    keys = (_KEY_OF_LINE.match(line) for line in sources.above(mark))
    return any(SECRET_NAME.search(key.group(1)) for key in keys if key and key.group(1) != _SECRETS)


def _masked(line: str) -> str:
    if len(line) > _LONGEST_LINE:
        line = line[:_LONGEST_LINE] + "@"  # What may be user info that goes on is taken for one.
    line = USER_INFO.sub(rf"\1{_MASK}@", line)
    return _SECRET_ENTRY.sub(rf"\1{_MASK}", line)


def _name_only(line: str, mark: Mark) -> str:
    """Return `NAME=***` for a line of an env file, whose marks are never literal, and nothing for other files."""
    name, separator, _ = line.partition("=")
    return f"{name.strip()}={_MASK}" if separator and not mark.literal else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _span(line: str, column: int) -> int:
    match = _WORD.match(line, column - 1) if column else None
    return len(match.group()) if match else 1


def _quoted(problem: Problem, mark: Mark) -> str:
    number = str(mark.line)
    gutter = " " * len(number) + " |"
    before = problem.excerpt[: min(mark.column, len(problem.excerpt)) - 1] if mark.column else ""
    # Tabs are kept in front of the carets, so that both lines are shifted alike.
    indent = re.sub(r"[^\t]", " ", before)
    carets = "^" * max(1, min(problem.span, len(problem.excerpt) - len(indent)))
    hint = f" {printable(problem.hint)}" if problem.hint else ""
    return f"{gutter}\n{number} | {problem.excerpt}\n{gutter} {indent}{carets}{hint}"
