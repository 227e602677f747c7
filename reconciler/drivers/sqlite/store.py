"""What did earlier turns learn, and what was done when? The state directory: one SQLite database and the hash key.

The database is memory and log, never the truth: it may be deleted at any time. It holds no secret but the key, which has
a file of its own.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from reconciler.drivers.sqlite.documents import history_document, read_history, read_turn
from reconciler.drivers.sqlite.key import read_key
from reconciler.drivers.sqlite.log import MOST_LOG_BYTES, LogFiles
from reconciler.drivers.sqlite.samples import keep, read
from reconciler.drivers.sqlite.turns import MOST_TURN_BYTES, Turns
from reconciler.errors import Refused, Unreachable
from reconciler.model.audit import Entry, Head, Kind, Trail
from reconciler.model.history import History
from reconciler.model.status import Turn
from reconciler.model.traffic import Sample

MOST_DAMAGED = 3
"""So many damaged databases are kept for whoever wants to look."""
MOST_WAITING = 1000
"""So many lines of the audit log wait in memory for a disk that has room again."""
BUSY_SECONDS = 10.0

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE history (only INTEGER PRIMARY KEY CHECK (only = 1), document TEXT NOT NULL);
    CREATE TABLE turns (number INTEGER PRIMARY KEY AUTOINCREMENT, idle INTEGER NOT NULL, document TEXT NOT NULL);
    CREATE INDEX turns_by_kind ON turns (idle, number);
    """,
    """
    UPDATE history SET document = json_set(document, '$.suspended', json('{}'));
    """,
    """
    UPDATE history SET document = json_set(document, '$.rollbacks', json('{}'));
    """,
    """
    UPDATE history SET document = json_set(document, '$.overruled', json('{}'));
    """,
    """
    CREATE TABLE audit (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER, hash TEXT, first INTEGER);
    """,
    """
    ALTER TABLE turns ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE turns SET bytes = length(CAST(document AS BLOB));
    CREATE INDEX turns_by_size ON turns (number, idle, bytes);
    """,
    """
    CREATE TABLE samples (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, document TEXT NOT NULL);
    CREATE INDEX samples_by_time ON samples (at, number);
    """,
)
"""What leads from each version of the schema to the next; their number is the version this program writes."""

Answer = TypeVar("Answer")


class SqliteStore:
    """The Store port on a directory. Several processes may use it at once."""

    def __init__(
        self,
        directory: Path,
        *,
        warn: Callable[[str], None] = lambda text: None,
        migrations: Sequence[str] = MIGRATIONS,
        most_log_bytes: int = MOST_LOG_BYTES,
        most_turn_bytes: int = MOST_TURN_BYTES,
    ) -> None:
        """Open or make it; `warn` hears of a damaged database that was put aside.

        Raises Refused when a newer version of this program wrote it, or it cannot be written.
        """
        self._directory = directory
        self._path = directory / "state.db"
        self._warn = warn
        self._migrations = migrations
        self._log = LogFiles(directory / "audit", most_log_bytes)
        self._read: tuple[str, History] | None = None
        self._turns = Turns(most_turn_bytes)
        self._waiting: tuple[Entry, ...] = ()
        self._lost = 0
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._key = read_key(directory / "hash.key")
            self._do(lambda database: None)
        except (OSError, Unreachable) as error:
            why = error.strerror if isinstance(error, OSError) else error
            hint = "name a directory you may write: --state DIR or RECONCILER_STATE"
            raise Refused(f"state directory {directory}: {why}", hint=hint) from error

    def history(self) -> History:
        """Return what earlier turns learned. Raises Unreachable when the database cannot be read now."""
        return self._do(self._history)

    def record(self, turn: Turn) -> None:
        """Keep a turn; one that did nothing and saw nothing new takes the place of the last of its kind, or is left out.

        A database of an older version keeps none until `change` has brought it up to date.
        """
        if not self._turns.repeats(turn):
            self._do(lambda database: self._turns.keep(database, turn), synced=False)
            self._turns.kept(turn)

    def change(self, edit: Callable[[History], History]) -> History:
        """Replace the history by an edited one, in one transaction."""

        def work(database: sqlite3.Connection) -> History:
            before = self._history(database)
            after = edit(before)
            if after != before:
                text = history_document(after)
                database.execute("INSERT OR REPLACE INTO history (only, document) VALUES (1, ?)", (text,))
            return after

        return self._do(work, migrates=True)

    def turns(self, limit: int = 100) -> tuple[Turn, ...]:
        """Return the last turns, newest first."""

        def work(database: sqlite3.Connection) -> tuple[Turn, ...]:
            rows = database.execute("SELECT document FROM turns ORDER BY number DESC LIMIT ?", (limit,))
            return tuple(read_turn(document) for (document,) in rows)

        return self._do(work)

    def sample(self, samples: Iterable[Sample]) -> None:
        """Keep what the gateway had counted. A database of an older version keeps none until `change` was at it."""
        self._do(lambda database: keep(database, samples), synced=False)

    def samples(self) -> tuple[Sample, ...]:
        """Return what is kept of that, oldest first."""
        return self._do(read)

    def audit(self, entries: Iterable[Entry]) -> None:
        """Append to the audit log. Raises Unreachable when it cannot be written; its lines then wait for the next time."""
        waiting, written = (*self._waiting, *entries), False
        if not waiting:
            return
        lost = [_lost(waiting[0].at, self._lost)] if self._lost else []
        try:
            with self._log.locked():
                head = self._log.append((*lost, *waiting), self._do(_head))
                written, self._lost = True, 0
                # The lines are on the disk. A head that a power cut takes back is one that they go beyond.
                self._do(lambda database: _keep_head(database, head), migrates=True, synced=False)
                self._log.drop_oldest()
        except OSError as error:
            hint = "make room on its disk, and see that it may be written"
            raise Unreachable(f"audit log {self._log.directory}: {error.strerror}", hint=hint) from error
        finally:
            self._waiting = () if written else waiting[-MOST_WAITING:]
            self._lost += 0 if written else len(waiting) - len(self._waiting)

    def trail(self) -> Trail:
        """Return the audit log as it stands. Raises Unreachable when it cannot be read."""
        try:
            with self._log.locked():
                return Trail(self._log.pieces(), self._do(_head))
        except OSError as error:
            raise Unreachable(f"audit log {self._log.directory}: {error.strerror}") from error

    # --- the database ------------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[sqlite3.Connection], Answer], *, migrates: bool = False, synced: bool = True) -> Answer:
        """Work in one transaction, on a new database if this one is damaged. Raises Unreachable when it is not to be had.

        Whoever only looks leaves an older database as it is: the older program may still be at work on it. What is not
        `synced` may be taken back by a power cut, whole and together with all that followed.
        """
        try:
            try:
                return self._transact(work, migrates, synced)
            except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._replace_damaged()
                return self._transact(work, migrates, synced)
        except sqlite3.OperationalError as error:
            hint = "make room on its disk, and see that no other program holds it"
            raise Unreachable(f"state database {self._path}: {error}", hint=hint) from error

    def _transact(self, work: Callable[[sqlite3.Connection], Answer], migrates: bool = False, synced: bool = True) -> Answer:
        if not self._path.exists():
            with self._locked():
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            if not migrates and 0 < _version(database) < len(self._migrations):
                return self._aside(database, work)
            database.execute("BEGIN IMMEDIATE")
            if 0 < (version := _version(database)) < len(self._migrations):
                self._back_up(version)
            self._migrate(database)
            answer = work(database)
            database.execute("COMMIT")
            return answer

    def _aside(self, database: sqlite3.Connection, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Work on a copy in memory that is brought up to date, and forget it."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            database.backup(copy)
            self._migrate(copy)
            return work(copy)

    def _migrate(self, database: sqlite3.Connection) -> None:
        version, known = _version(database), len(self._migrations)
        if version > known:
            message = f"state database {self._path} has version {version}; this program knows versions up to {known}"
            raise Refused(message, hint="run the newer program again, or name another --state directory")
        for number in range(version, known):
            for statement in self._migrations[number].split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {number + 1}")

    def _back_up(self, version: int) -> None:
        """Keep the database as the older program can read it, in place of any that was kept before. Nobody writes meanwhile."""
        copy = self._path.with_name(f"state.db.version-{version}")
        for before in self._directory.glob("state.db.version-*"):
            before.unlink()
        os.close(os.open(copy, os.O_RDWR | os.O_CREAT, 0o600))
        # A connection that has a transaction open cannot be copied from.
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)

    def _replace_damaged(self) -> None:
        """Put a damaged database aside for whoever wants to look; nothing that matters is lost with it."""
        with self._locked():
            if self._is_whole():
                return  # Another process was first.
            aside = self._path.with_name(f"state.db.damaged-{secrets.token_hex(4)}")
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            damaged = sorted(self._directory.glob("state.db.damaged-*"), key=lambda path: path.stat().st_mtime)
            for oldest in damaged[:-MOST_DAMAGED]:
                oldest.unlink()
        self._warn(f"the state database was damaged and begins anew; the old one is {aside}")

    def _is_whole(self) -> bool:
        def look(database: sqlite3.Connection) -> None:
            self._history(database)
            for (document,) in database.execute("SELECT document FROM turns"):
                read_turn(document)

        try:
            self._transact(look)
        except sqlite3.OperationalError:
            raise
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError):
            return False
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time make or replace the file."""
        with open(os.open(self._directory / "state.lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _history(self, database: sqlite3.Connection) -> History:
        row = database.execute("SELECT document FROM history").fetchone()
        if row is None:
            return History(self._key, fresh=True)
        known = self._read
        if known is None or known[0] != row[0]:
            self._read = known = row[0], read_history(row[0], self._key)
        return known[1]


# --- rows ------------------------------------------------------------------------------------------------------------


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def _head(database: sqlite3.Connection) -> Head | None:
    row = database.execute("SELECT number, hash, first FROM audit").fetchone()
    return Head(*row) if row else None


def _keep_head(database: sqlite3.Connection, head: Head) -> None:
    row = (head.number, head.hash, head.first)
    database.execute("INSERT OR REPLACE INTO audit (only, number, hash, first) VALUES (1, ?, ?, ?)", row)


def _lost(at: datetime, count: int) -> Entry:
    return Entry(at, Kind.NOTE, "lost", text=f"{count} lines are lost: for too long they could not be written")
