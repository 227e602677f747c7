"""Which files does the body of a push write and remove?

== PATH     the lines that follow are the whole file
~~ PATH     each line that follows, `OLD => NEW`, replaces a text of the file as it was
-- PATH     the file is removed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def changes_of(body: Iterable[str], read: Callable[[str], str]) -> dict[str, bytes | None]:
    """Return contents by path, None for what is removed. Raises ValueError for what belongs to no file or is not there."""
    changes: dict[str, str | None] = {}
    mark, path = "", ""
    for line in body:
        if line[:3] in ("== ", "~~ ", "-- "):
            mark, path = line[:2], line[3:]
            changes[path] = {"==": "", "~~": read(path) if mark == "~~" else "", "--": None}[mark]
        else:
            changes[path] = _written(mark, changes.get(path), line)
    return {path: None if text is None else text.encode() for path, text in changes.items()}


def _written(mark: str, before: str | None, line: str) -> str:
    if before is None:
        raise ValueError(f"{line!r} belongs to no file: a body begins with `== PATH`")
    if mark == "==":
        return f"{before}{line}\n"
    old, _, new = line.partition(" => ")
    if old not in before:
        raise ValueError(f"there is no {old!r} to replace")
    return before.replace(old, new)
