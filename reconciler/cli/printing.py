"""How does text reach a terminal: in columns, and in colour where a person sees it and wants it?"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

_RED, _GREEN, _YELLOW, _CYAN = 31, 32, 33, 36
_COLOURS = {
    **dict.fromkeys(("Healthy", "Synced", "Succeeded"), _GREEN),
    **dict.fromkeys(("Degraded", "Missing", "Failed", "Error", "error"), _RED),
    **dict.fromkeys(("OutOfSync", "Progressing", "Suspended", "Unknown", "Running", "warning"), _YELLOW),
    "hint": _CYAN,
}
_WORDS = re.compile(rf"\b(?:{'|'.join(_COLOURS)})\b(?=$|[\s:\[,])", re.MULTILINE)
_CONTROL = re.compile(r"(?!\x1b\[[\d;]*m)[^\t\n\x20-\x7e\xa0-\uffff\U00010000-\U0010ffff]")
"""Whatever does more to a terminal than to change the colour of text."""
CLEARED = "\x1b[H\x1b[J"
"""What puts a terminal's cursor at the top of an empty screen."""


def say(text: str, out: TextIO | None = None) -> None:
    """Write text as it stands, on stdout unless told otherwise; the words that matter in colour, if `wants_colour`."""
    out = out or sys.stdout
    shown = harmless(text) if out.isatty() else text
    out.write(_WORDS.sub(_coloured, shown) if wants_colour(out) else shown)
    out.flush()


def harmless(text: str) -> str:
    """Return text that cannot play with a terminal, whoever wrote it; colours stay."""
    return _CONTROL.sub(lambda control: ascii(control.group())[1:-1], text)


def wants_colour(out: TextIO) -> bool:
    """Say whether colour is welcome: on a terminal that has any, unless NO_COLOR (https://no-color.org) is set."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Yield each row as a line, its cells beneath those of the row before, two spaces between them."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        yield f"{indent}{'  '.join(f'{cell:<{width}}' for cell, width in zip(row, widths, strict=True))}".rstrip()


def section(title: str, entries: Iterable[str]) -> Iterator[str]:
    """Yield the title and each entry beneath it, nothing where there are none."""
    entries = list(entries)
    if entries:
        yield title
        yield from (f"  {entry}" for entry in entries)


def _coloured(word: re.Match[str]) -> str:
    return f"\x1b[{_COLOURS[word.group()]}m{word.group()}\x1b[0m"
