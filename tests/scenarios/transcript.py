"""What does a transcript say: which commands, and what did each print?

A transcript is a text file. A line that begins with `#` or is empty is for the reader. Any other line that does not
begin with a blank is a command; one that ends in `<<EOF` is followed by its body and a line `EOF`. What the command
printed follows, each line indented by two blanks.
"""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

INDENT = "  "
BODY, END = "<<EOF", "EOF"


@dataclass(frozen=True, slots=True)
class Step:
    """A command with its body and what was recorded of its output; or only text for the reader (`command` "")."""

    line: int
    command: str = ""
    body: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    text: str = ""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command.removesuffix(BODY))


class TranscriptError(Exception):
    """The transcript cannot be read; the message names the line."""


def parse(text: str) -> tuple[Step, ...]:
    """Read a transcript. Raises TranscriptError for a body without end and for output that no command precedes."""
    lines = iter(enumerate(text.splitlines(), 1))
    steps: list[Step] = []
    for number, line in lines:
        if line.startswith(INDENT):
            if not steps or not steps[-1].command:
                raise TranscriptError(f"line {number}: output without a command before it")
            steps[-1] = replace(steps[-1], output=(*steps[-1].output, line.removeprefix(INDENT)))
        elif not line or line.startswith("#"):
            steps.append(Step(number, text=line))
        else:
            steps.append(Step(number, line, tuple(_body(number, lines)) if line.endswith(BODY) else ()))
    return tuple(steps)


def _body(start: int, lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == END:
            return
        yield line
    raise TranscriptError(f"line {start}: no {END} ends the body that begins here")


def render(steps: Iterable[Step]) -> str:
    """Write a transcript; what was parsed comes out as it was."""
    return "".join(f"{line}\n" for step in steps for line in _lines(step))


def _lines(step: Step) -> Iterator[str]:
    if not step.command:
        yield step.text
        return
    yield step.command
    if step.command.endswith(BODY):
        yield from (*step.body, END)
    yield from (f"{INDENT}{line}".rstrip() or INDENT for line in step.output)


def hold_to(path: Path, say: Callable[[Step], Iterable[str]]) -> None:
    """Play a transcript again and require what it records; with ACCEPT=1 write down what is said now instead."""
    recorded = path.read_text()
    played = render(replay(parse(recorded), say))
    if os.environ.get("ACCEPT"):
        path.write_text(played)
        return
    changed = difflib.unified_diff(recorded.splitlines(), played.splitlines(), "recorded", "played", lineterm="")
    assert played == recorded, "\n" + "\n".join(changed)


def replay(steps: Iterable[Step], say: Callable[[Step], Iterable[str]]) -> tuple[Step, ...]:
    """Return the transcript with what every command prints now."""
    return tuple(replace(step, output=tuple(say(step))) if step.command else step for step in steps)
