"""Which turns stay in the database, and how is one written that says the same as the last?"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import timedelta

from reconciler.drivers.sqlite.documents import read_turn, stacks_document, turn_document
from reconciler.model.status import StackStatus, Turn

MOST_TURNS = {False: 1000, True: 200}
"""How many turns are kept: of those that did something, and of those that only saw something new."""
MOST_TURN_BYTES, LEAST_TURNS = 64 * 1024**2, 100
"""So much room all turns may take; the last of those that did something are kept whatever they take."""
SAID_AGAIN = timedelta(seconds=10)
"""How often at most it is written down that still nothing is new: each time costs two waits for the disk."""

_DROP_LARGE = """
    DELETE FROM turns WHERE number IN (
        SELECT number FROM (
            SELECT number, SUM(bytes) OVER newest AS total, SUM(NOT idle) OVER newest AS rank
            FROM turns WINDOW newest AS (ORDER BY number DESC)
        ) WHERE total > ? AND rank > ?
    )
"""


@dataclass
class Turns:
    """The table of turns, and what this process wrote there last: a turn tells of a thousand services."""

    most_bytes: int
    _kept: Turn | None = None
    _written: tuple[str, Turn] | None = None
    _stacks: tuple[tuple[StackStatus, ...], str] = ((), "[]")

    def repeats(self, turn: Turn) -> bool:
        """Say whether the last turn that we kept says the same, and was only just now."""
        last = self._kept
        if last is None or not (_is_idle(last) and _is_idle(turn)):
            return False
        just_now = timedelta() <= turn.finished - last.finished < SAID_AGAIN
        return just_now and _news(last) == _news(turn) and last.stacks == turn.stacks

    def kept(self, turn: Turn) -> None:
        """Take note that this one is in the database for good."""
        self._kept = turn

    def keep(self, database: sqlite3.Connection, turn: Turn) -> None:
        """Write a turn, and drop what there is no more room for. Until it is said to be kept, nothing repeats anything."""
        self._kept = None
        last = database.execute("SELECT number, idle, document FROM turns ORDER BY number DESC LIMIT 1").fetchone()
        before = self._read(last[2]) if last else None
        idle = _is_idle(turn) and before is not None and before.applied == turn.applied
        if before is not None and idle and last[1] and _news(before) == _news(turn):
            database.execute("DELETE FROM turns WHERE number = ?", (last[0],))
        document = self._document(turn)
        row = (idle, document, len(document.encode()))
        database.execute("INSERT INTO turns (idle, document, bytes) VALUES (?, ?, ?)", row)
        newest = "SELECT number FROM turns WHERE idle = ? ORDER BY number DESC LIMIT ?"
        database.execute(f"DELETE FROM turns WHERE idle = ? AND number NOT IN ({newest})", (idle, idle, MOST_TURNS[idle]))
        database.execute(_DROP_LARGE, (self.most_bytes, LEAST_TURNS))

    def _read(self, document: str) -> Turn:
        return self._written[1] if self._written and self._written[0] == document else read_turn(document)

    def _document(self, turn: Turn) -> str:
        if self._stacks[0] != turn.stacks:
            self._stacks = turn.stacks, stacks_document(turn.stacks)
        document = turn_document(turn, self._stacks[1])
        self._written = document, turn
        return document


def _is_idle(turn: Turn) -> bool:
    return not turn.done and not turn.failed


def _news(turn: Turn) -> tuple[object, ...]:
    return turn.operation, turn.revision, turn.plan, turn.error, turn.applied
