"""What do the commits, trees and blobs of the clone hold?

Objects are read as git stores them: no checkout, hence no hook, filter, symlink or submodule ever takes effect.
An object never changes, so what was read is remembered by its id, as long as one of the last revisions uses it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from reconciler.drivers.git.catfile import CatFile
from reconciler.drivers.git.faults import Damaged
from reconciler.model.source import Revision
from reconciler.ports import FileKind

REMEMBERED_BYTES = 64 * 1024**2
REMEMBERED_REVISIONS = 3
"""The objects of as many revisions are remembered: the newest, the last one applied whole, and one between them."""
META_BYTES = 16 * 1024**2  # the largest commit or tree that is read
_KINDS = {
    0o040000: FileKind.DIRECTORY,
    0o100000: FileKind.FILE,
    0o120000: FileKind.SYMLINK,
    0o160000: FileKind.SUBMODULE,
}
_TREE_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_PERSON = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^>]*)>\s*(?P<seconds>[0-9]*)")
_LAST_SECOND = 253_402_300_799  # the end of the year 9999: git allows later times, Python does not
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a tree: what stands there, and the id of its object."""

    kind: FileKind
    id: str
    executable: bool


class Objects:
    """Reads the objects of one clone, from any thread. Raises Damaged for what cannot be read."""

    def __init__(self, clone: Path, environment: Mapping[str, str], *, deadline_seconds: float) -> None:
        self._cat_file = CatFile(clone, environment, deadline_seconds=deadline_seconds)
        self._lock = threading.Lock()
        self._trees: _Recent[dict[str, Entry]] = _Recent(REMEMBERED_BYTES)
        self._blobs: _Recent[bytes] = _Recent(REMEMBERED_BYTES)

    def revision(self, commit: str, ref: str) -> Revision:
        """Return what the commit says of itself; `ref` is the branch it was found on."""
        with self._lock:
            return _revision(self._cat_file.read(commit, META_BYTES).data, commit, ref)

    def tree(self, commit: str) -> str:
        """Return the id of a commit's root tree."""
        with self._lock:
            return self._cat_file.read(f"{commit}^{{tree}}", META_BYTES).id

    def entries(self, tree: str) -> dict[str, Entry]:
        """Return the names in a tree."""
        with self._lock:
            if (known := self._trees.get(tree)) is not None:
                return known
            data = self._cat_file.read(tree, META_BYTES).data
            return self._trees.keep(tree, dict(_entries(data)), len(data))

    def blob(self, blob: str, most_bytes: int) -> bytes:
        """Return a blob's content. Raises TooLarge past `most_bytes`, before it is read."""
        with self._lock:
            if (known := self._blobs.get(blob)) is not None:
                return known
            data = self._cat_file.read(blob, most_bytes).data
            return self._blobs.keep(blob, data, len(data))

    def begin(self) -> None:
        """Another revision is read from now on: forget what the last few did not use."""
        with self._lock:
            self._trees.begin()
            self._blobs.begin()

    @property
    def remembered(self) -> int:
        """How many objects are remembered."""
        with self._lock:
            return len(self._trees) + len(self._blobs)

    def close(self) -> None:
        """End the process that reads; the next question starts another. What is remembered stays true."""
        with self._lock:
            self._cat_file.close()


class _Recent(Generic[Value]):
    """The values that the last revisions used, as many as fit into so many bytes; those used last stand last."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._revision = 0
        self._values: OrderedDict[str, tuple[Value, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Value | None:
        if key not in self._values:
            return None
        value, size_bytes, _ = self._values.pop(key)
        self._values[key] = value, size_bytes, self._revision
        return value

    def keep(self, key: str, value: Value, size_bytes: int) -> Value:
        self._values[key] = value, size_bytes, self._revision
        self._bytes += size_bytes
        while self._bytes > self._most_bytes:
            self._forget_first()
        return value

    def begin(self) -> None:
        self._revision += 1
        while self._values and self._first_used() <= self._revision - REMEMBERED_REVISIONS:
            self._forget_first()

    def _first_used(self) -> int:
        _, _, revision = next(iter(self._values.values()))
        return revision

    def _forget_first(self) -> None:
        _, (_, freed_bytes, _) = self._values.popitem(last=False)
        self._bytes -= freed_bytes


def _revision(data: bytes, commit: str, ref: str) -> Revision:
    """Read a commit object: headers, an empty line, the message."""
    head, _, message = data.partition(b"\n\n")
    headers: dict[str, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        headers.setdefault(name.decode(errors="replace"), value)
    encoding = headers.get("encoding", b"utf-8").decode(errors="replace")
    subject = _text(message, encoding).strip().partition("\n")[0]
    author, _ = _person(_text(headers.get("author", b""), encoding))
    _, seconds = _person(_text(headers.get("committer", b""), encoding))
    return Revision(commit, ref, datetime.fromtimestamp(seconds, UTC), _printable(author), _printable(subject))


def _text(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except (LookupError, UnicodeError):
        return data.decode(errors="replace")


def _person(line: str) -> tuple[str, int]:
    """Return "Name <address>" and seconds since 1970 from an author or committer line."""
    if not (match := _PERSON.match(line)):
        return "", 0
    return f"{match['name']} <{match['address']}>", min(int(match["seconds"] or 0), _LAST_SECOND)


def _printable(text: str) -> str:
    """Leave out what could drive a terminal: whoever pushes chooses these texts."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _entries(data: bytes) -> Iterator[tuple[str, Entry]]:
    """Read a tree object: mode, name, NUL and the binary id, without separators."""
    end = 0
    while match := _TREE_ENTRY.match(data, end):
        end = match.end()
        mode = int(match[1], 8)
        if kind := _KINDS.get(mode & 0o170000):
            # Whatever its encoding, a name becomes one text that prints.
            yield match[2].decode(errors="backslashreplace"), Entry(kind, match[3].hex(), bool(mode & 0o100))
    if end != len(data):
        raise Damaged("a tree is garbled")
