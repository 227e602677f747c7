"""How do the lines of the audit log come onto the disk, and stay there within bounds?

Files of `audit/` are named by the number of their first line; a full one is followed by the next, the oldest goes. What
a killed process or another hand left at the end is noted in the line that follows it, never dropped in silence.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from reconciler.audit import BEFORE_THE_FIRST, chained, digest, leads_on, read
from reconciler.model.audit import Entry, Head, Kind, Piece

MOST_FILES = 8
MOST_LOG_BYTES = 4 * 1024**2
"""A file that has grown so large is not written to any more; what a single turn adds may exceed it."""

LOCK_SECONDS, _POLL_SECONDS = 10.0, 0.02


@dataclass(frozen=True, slots=True)
class _End:
    """Where the log ends: after line `number` with this hash, at `offset` of the last file. `torn` stands behind that."""

    path: Path | None = None
    offset: int = 0
    number: int = 0
    hash: str = BEFORE_THE_FIRST
    torn: bytes = b""


class LogFiles:
    """The files of one audit log. `most_bytes` is what a file holds."""

    def __init__(self, directory: Path, most_bytes: int = MOST_LOG_BYTES) -> None:
        self.directory = directory
        self._most_bytes = most_bytes

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes out. Raises OSError where that takes too long."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        place = os.open(self.directory, os.O_RDONLY)
        try:
            _lock(place)
            yield
        finally:
            os.close(place)  # The lock goes with it.

    def append(self, entries: Sequence[Entry], head: Head | None) -> Head:
        """Add lines, at least one, and return the new head. Raises OSError; then none was added. Call it locked."""
        end = self._end()
        notes = tuple(Entry(entries[0].at, Kind.NOTE, what, text=text) for what, text in self._oddities(end, head))
        after = end if head is None or self._leads_on(end, head) else replace(end, number=head.number, hash=head.hash)
        data, number, last = chained((*notes, *entries), after.number, after.hash)
        path = self._path(end, after.number + 1)
        self._write(path, end.offset if path == end.path else 0, data)
        return Head(number, last, self._first(head))

    def _first(self, head: Head | None) -> int:
        """What is not there although nobody drops it is missing: it stays known as the first line."""
        files = self._files()
        dropping = len(files) > MOST_FILES
        return head.first if head and not dropping else _first_of(files[-MOST_FILES:])

    def drop_oldest(self) -> None:
        """Remove what is more than the log may hold. Call it locked, when the head is known to begin after it."""
        for path in self._files()[:-MOST_FILES]:
            path.unlink()

    def pieces(self) -> tuple[Piece, ...]:
        """Return the whole log. Call it locked."""
        return tuple(Piece(path.name, path.read_bytes()) for path in self._files())

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.glob("*.jsonl") if path.stem.isdecimal())

    # --- where it ends -----------------------------------------------------------------------------------------------

    def _end(self) -> _End:
        files = self._files()
        if not files:
            return _End()
        offset, torn = _whole(files[-1])
        for path in reversed(files):
            if line := _last_line(path):
                found = read(line)
                number = found.number if found else _first_of([path]) + _count(path) - 1
                return _End(files[-1], offset, number, digest(line), torn)
        return _End(files[-1], offset, torn=torn)

    def _leads_on(self, end: _End, head: Head) -> bool:
        """A process that was killed may have added lines without saying so; then the log is ahead of what is known."""
        return end.hash == head.hash or leads_on(self.pieces(), head)

    def _oddities(self, end: _End, head: Head | None) -> Iterator[tuple[str, str]]:
        """Yield what whoever reads the log must know of its end: what it is about, and in words."""
        if head is None and end.number:
            yield "head", f"the state database did not know that line {end.number} was the last"
        if head is not None and not self._leads_on(end, head):
            yield "damage", f"line {head.number} should have been the last here, and is not"
        if end.torn:
            yield "torn", f"a line was cut off in the middle: {end.torn.decode('utf-8', 'backslashreplace')}"

    def _path(self, end: _End, number: int) -> Path:
        """A line that is noted as torn stays where it is noted."""
        if end.path is not None and (end.offset < self._most_bytes or end.torn):
            return end.path
        return self.directory / f"{number:010d}.jsonl"

    def _write(self, path: Path, offset: int, data: bytes) -> None:
        new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            try:
                _write_all(file, data, offset)
                os.ftruncate(file, offset + len(data))
                os.fsync(file)
            except OSError:
                # Where the disk is full: what was torn stays to be noted, and half of a new line must not be taken for one.
                os.ftruncate(file, size)
                raise
        finally:
            os.close(file)
        if new:
            _sync(self.directory)


def _first_of(files: list[Path]) -> int:
    return int(files[0].stem)


def _whole(path: Path) -> tuple[int, bytes]:
    """Return where the last whole line of a file ends, and what stands behind it."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return 0, b""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
            return end, content[end:]


def _last_line(path: Path) -> bytes:
    """Return the last whole line of a file, b"" where it has none."""
    end, _ = _whole(path)
    if not end:
        return b""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content[content.rfind(b"\n", 0, end - 1) + 1 : end - 1]


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _write_all(file: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)


def _sync(directory: Path) -> None:
    place = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def _lock(place: int) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    pause = Event()
    while True:
        try:
            return fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            if time.monotonic() > deadline:
                raise TimeoutError(taken.errno, f"another process has held it for {LOCK_SECONDS:g} s") from None
            pause.wait(_POLL_SECONDS)
