"""Turn a file's bytes into text, or say why they are no text a person can review."""

from __future__ import annotations

import re
import unicodedata

from reconciler.errors import InvalidState, Mark, Problem

MAX_BYTES = 1 << 20
LINE_BREAK = re.compile(r"\r\n|\n|\r")

# What YAML calls printable, less the breaks an editor does not show as a new line (U+0085, U+2028, U+2029): with
# them a line number would mean one thing here and another on the screen.
_CONTROL = r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
# Unicode's property Bidi_Control: with these a review shows another text than the machine reads.
_BIDI = r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_REFUSED = re.compile(f"{_CONTROL}|{_BIDI}")
# One pasted binary must not bury the report.
_MOST_CHARACTERS = 5
_LONGEST_NAME = 80
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def decode(data: bytes, path: str) -> str:
    """Return the text of a file without its byte order mark.

    Raises InvalidState for what is larger than 1 MiB, is not strict UTF-8, or holds control or bidi characters.
    """
    if len(data) > MAX_BYTES:
        raise InvalidState([_too_large(len(data), path)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidState([_not_utf8(data, error.start, path)]) from None
    problems = [_refused_character(text, match.start(), path) for match in _REFUSED.finditer(text)]
    if problems:
        raise InvalidState(problems[:_MOST_CHARACTERS])
    return text


def printable(text: str) -> str:
    """Return text as one line that a terminal shows as it is: whatever is not printable becomes an escape."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def brief(text: str) -> str:
    """Return a name out of a file fit for a message: printable, and cut when it is long."""
    return printable(text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…")


def _too_large(size_bytes: int, path: str) -> Problem:
    message = f"the file is {size_bytes:,} bytes; the most is {MAX_BYTES:,}"
    return Problem("R010", message, Mark(path), hint="split it with `include`, or keep data out of it")


def _not_utf8(data: bytes, position: int, path: str) -> Problem:
    encoding = _BYTE_ORDER_MARKS.get(data[:2])
    if encoding:
        return Problem("R001", f"the file is {encoding}, not UTF-8", Mark(path, 1, 1), hint="save it as UTF-8")
    line, column = _line_and_column(data[:position].decode("utf-8", "replace"), position)
    message = f"byte 0x{data[position]:02x} is not valid UTF-8"
    return Problem("R001", message, Mark(path, line, column), hint="save the file as UTF-8")


def _refused_character(text: str, position: int, path: str) -> Problem:
    character = text[position]
    kind = "bidirectional control" if re.match(_BIDI, character) else "control"
    name = unicodedata.name(character, "")
    described = f"U+{ord(character):04X} {name}".rstrip()
    line, column = _line_and_column(text[:position], position)
    escape = f"\\u{ord(character):04X}"
    hint = f'write it as an escape in double quotes: "{escape}"'
    return Problem("R002", f"{kind} character {described}", Mark(path, line, column), hint=hint)


def _line_and_column(before: str, position: int) -> tuple[int, int]:
    lines = LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1
