"""What did earlier turns learn, and what was done when? The state directory: one SQLite database and the hash key.

The database is memory and log, never the truth: it may be deleted at any time. It holds no secret but the key, which has
a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.errors import Refused
from reconciler.model.history import Backoff, HashKey, History, Quarantine
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn

VERSION = 1
KEPT_TURNS = 1000
BUSY_SECONDS = 10.0

_MIGRATIONS: Mapping[int, str] = {
    1: """
        CREATE TABLE history (only INTEGER PRIMARY KEY CHECK (only = 1), document TEXT NOT NULL);
        CREATE TABLE turns (number INTEGER PRIMARY KEY AUTOINCREMENT, idle INTEGER NOT NULL, document TEXT NOT NULL);
    """,
}
"""Schema version -> what leads to it from the one before."""


class SqliteStore:
    """The Store port on a directory. Several processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        """Open or make it. Raises Refused when a newer version of this program wrote it, or it cannot be written."""
        self._directory = directory
        self._path = directory / "state.db"
        self.moved_aside: Path | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.key = _read_key(directory / "hash.key")
            self._open()
        except OSError as error:
            hint = "name a directory you may write: --state DIR or RECONCILER_STATE"
            raise Refused(f"state directory {directory}: {error.strerror}", hint=hint) from error

    def history(self) -> History:
        with self._transaction() as database:
            return self._history(database)

    def record(self, turn: Turn, history: History | None) -> None:
        with self._transaction() as database:
            self._keep(database, turn)
            if history is not None:
                _write_history(database, history)

    def change(self, edit: Callable[[History], History]) -> History:
        with self._transaction() as database:
            history = edit(self._history(database))
            _write_history(database, history)
            return history

    def turns(self, limit: int = 100) -> tuple[Turn, ...]:
        with self._transaction() as database:
            rows = database.execute("SELECT document FROM turns ORDER BY number DESC LIMIT ?", (limit,))
            return tuple(_turn(json.loads(document)) for (document,) in rows)

    # --- the database ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise Refused(f"state database {self._path}: {error}", hint="see that nothing else holds it") from error
            self._move_aside()
            self._migrate()

    def _migrate(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                message = f"state database {self._path} has version {version}; this program knows versions up to {VERSION}"
                raise Refused(message, hint="run the newer program again, or name another --state directory")
            for number in range(version + 1, VERSION + 1):
                for statement in _MIGRATIONS[number].split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {number}")

    def _move_aside(self) -> None:
        """A damaged database is kept for whoever wants to look; nothing that matters is lost with it."""
        self.moved_aside = self._path.with_name(f"state.db.damaged-{secrets.token_hex(4)}")
        self._path.rename(self.moved_aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()

    # --- rows --------------------------------------------------------------------------------------------------------

    def _history(self, database: sqlite3.Connection) -> History:
        row = database.execute("SELECT document FROM history").fetchone()
        return History(self.key, fresh=True) if row is None else _read_history(json.loads(row[0]), self.key)

    def _keep(self, database: sqlite3.Connection, turn: Turn) -> None:
        """Turns that did nothing and found nothing new replace one another."""
        last = database.execute("SELECT number, idle, document FROM turns ORDER BY number DESC LIMIT 1").fetchone()
        idle = last is not None and _same_news(_turn(json.loads(last[2])), turn)
        if last is not None and last[1] and idle:
            database.execute("DELETE FROM turns WHERE number = ?", (last[0],))
        database.execute("INSERT INTO turns (idle, document) VALUES (?, ?)", (idle, json.dumps(asdict(turn), default=str)))
        database.execute("DELETE FROM turns WHERE number <= (SELECT MAX(number) FROM turns) - ?", (KEPT_TURNS,))


def _same_news(last: Turn, turn: Turn) -> bool:
    def news(one: Turn) -> tuple[object, ...]:
        return one.operation, one.revision, one.applied, one.plan, one.failed, one.error

    return news(last) == news(turn)


def _read_key(path: Path) -> HashKey:
    """Return the key of our spec labels, made once. Its public id is a part of its hash."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = secrets.token_bytes(32)
        made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        made.touch(mode=0o600)
        made.write_bytes(secret)
        try:
            os.link(made, path)
        except FileExistsError:
            secret = path.read_bytes()
        finally:
            made.unlink()
    return HashKey(hashlib.sha256(b"id" + secret).hexdigest()[:8], secret)


def _write_history(database: sqlite3.Connection, history: History) -> None:
    document = asdict(replace(history, key=HashKey("", b""), replaced={}))
    del document["key"]
    document["jobs"] = {name: sorted(specs) for name, specs in history.jobs.items()}
    document["replaced"] = [[*key, count] for key, count in history.replaced.items()]
    database.execute("INSERT OR REPLACE INTO history (only, document) VALUES (1, ?)", (json.dumps(document, default=str),))


def _read_history(document: Mapping[str, Any], key: HashKey) -> History:
    return History(
        key=key,
        fresh=document["fresh"],
        attempted=document["attempted"],
        applied=document["applied"],
        manual=document["manual"],
        quarantine={name: Quarantine(**{**one, "at": _time(one["at"])}) for name, one in document["quarantine"].items()},
        heals=_backoffs(document["heals"]),
        retries=_backoffs(document["retries"]),
        jobs={name: frozenset(specs) for name, specs in document["jobs"].items()},
        retried=_times(document["retried"]),
        replaced={(slot, spec): count for slot, spec, count in document["replaced"]},
        updated=_times(document["updated"]),
        asked=_times(document["asked"]),
    )


def _backoffs(rows: Mapping[str, Any]) -> dict[str, Backoff]:
    return {key: Backoff(one["attempts"], _time(one["last"]), _time(one["next"]), one["why"]) for key, one in rows.items()}


def _times(rows: Mapping[str, str]) -> dict[str, datetime]:
    return {key: _time(text) for key, text in rows.items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _turn(document: Mapping[str, Any]) -> Turn:
    return Turn(
        **{
            **document,
            "started": _time(document["started"]),
            "finished": _time(document["finished"]),
            "operation": Operation(document["operation"]),
            "failed": tuple(document["failed"]),
            "stacks": tuple(map(_stack, document["stacks"])),
        }
    )


def _stack(document: Mapping[str, Any]) -> StackStatus:
    services = tuple(map(_service, document["services"]))
    return StackStatus(document["name"], Sync(document["sync"]), Health(document["health"]), services)


def _service(document: Mapping[str, Any]) -> ServiceStatus:
    since = _time(document["since"]) if document["since"] else None
    return ServiceStatus(**{**document, "sync": Sync(document["sync"]), "health": Health(document["health"]), "since": since})
