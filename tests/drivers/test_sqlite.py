"""Does the state directory remember what it should, for whoever asks, and survive what befalls it?"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.memory import MemoryStore
from reconciler.drivers.sqlite import MIGRATIONS, MOST_TURNS, SqliteStore
from reconciler.errors import Refused, Unreachable
from reconciler.model.history import Backoff, HashKey, History, Overrule, Quarantine, Rollback, Suspension
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn
from reconciler.ports import Store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERVICE = ServiceStatus("shop", "web", Sync.SYNCED, Health.HEALTHY, 2, 2, 2, "web:2", "", NOON)
QUIET = Turn(
    started=NOON,
    finished=NOON + timedelta(seconds=2),
    woke="interval",
    operation=Operation.SUCCEEDED,
    revision="a" * 40,
    author="Ada <ada@example.org>",
    subject="web 2",
    applied="a" * 40,
    summary="Plan: nothing to do. Nothing blocked.",
    plan="Plan for production\n",
    failed=(),
    stacks=(StackStatus("shop", Sync.SYNCED, Health.HEALTHY, (SERVICE,)),),
    error="",
    hint="",
)
BUSY = replace(QUIET, done=3, failed=("shop/web/1/start: no such image",), operation=Operation.FAILED)


def later(turn: Turn, seconds: float) -> Turn:
    return replace(turn, started=turn.started + timedelta(seconds=seconds), finished=turn.finished + timedelta(seconds=seconds))


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return SqliteStore(tmp_path / "state") if request.param == "sqlite" else MemoryStore()


def test_a_new_store_has_a_fresh_history_and_no_turns(store: Store) -> None:
    assert store.history().fresh
    assert store.turns() == ()


def test_turns_come_back_as_they_were_newest_first(store: Store) -> None:
    store.record(QUIET)
    store.record(later(BUSY, 60))
    assert store.turns() == (later(BUSY, 60), QUIET)
    assert store.turns(1) == (later(BUSY, 60),)


def test_idling_leaves_one_turn(store: Store) -> None:
    store.record(BUSY)
    for minute in range(5):
        store.record(later(QUIET, 60 * minute))
    assert store.turns() == (later(QUIET, 240), BUSY)


def test_turns_that_did_the_same_twice_are_both_kept(store: Store) -> None:
    store.record(BUSY)
    store.record(later(BUSY, 30))
    assert len(store.turns()) == 2


def test_what_a_person_changes_is_there_for_the_next_turn(store: Store) -> None:
    store.change(lambda history: replace(history, manual={"shop": "a" * 40}))
    changed = store.change(lambda history: replace(history, retried={"shop/web": NOON}))
    assert store.history() == changed
    assert (changed.manual, changed.retried) == ({"shop": "a" * 40}, {"shop/web": NOON})


# --- the directory ---------------------------------------------------------------------------------------------------

_names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_times = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
_backoffs = st.dictionaries(_names, st.builds(Backoff, st.integers(1, 99), _times, _times, _names), max_size=2)
_histories = st.builds(
    History,
    key=st.just(HashKey("k", b"secret")),
    fresh=st.booleans(),
    attempted=_names,
    applied=_names,
    manual=st.dictionaries(_names, _names, max_size=2),
    quarantine=st.dictionaries(_names, st.builds(Quarantine, _names, _names, _names, _names, _times), max_size=2),
    heals=_backoffs,
    retries=_backoffs,
    jobs=st.dictionaries(_names, st.frozensets(_names, max_size=3), max_size=2),
    retried=st.dictionaries(_names, _times, max_size=2),
    replaced=st.dictionaries(st.tuples(_names, _names), st.integers(0, 9), max_size=2),
    updated=st.dictionaries(_names, _times, max_size=2),
    asked=st.dictionaries(_names, _times, max_size=2),
    overruled=st.dictionaries(_names, st.builds(Overrule, _names, _names), max_size=2),
    suspended=st.dictionaries(_names, st.builds(Suspension, _names, _times, st.none() | _times), max_size=2),
    rollbacks=st.dictionaries(
        _names, st.builds(Rollback, _names, _names, st.tuples(_names), _names, _times, _names), max_size=2
    ),
)


@given(history=_histories)
def test_every_history_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, history: History) -> None:
    store = SqliteStore(tmp_path_factory.mktemp("state"))
    kept = store.change(lambda before: replace(history, key=before.key))
    assert store.history() == kept


def test_the_next_process_finds_what_the_last_one_left(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path)
    first.record(BUSY)
    first.change(lambda history: replace(history, fresh=False, applied="a" * 40))
    second = SqliteStore(tmp_path)
    assert second.turns() == (BUSY,)
    assert (second.history().applied, second.history().key) == ("a" * 40, first.history().key)


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "state")
        store.record(BUSY)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert set(modes) >= {"state.db", "hash.key"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_the_database_does_not_hold_the_key(tmp_path: Path) -> None:
    SqliteStore(tmp_path).change(lambda history: replace(history, applied="a" * 40))
    secret = (tmp_path / "hash.key").read_bytes()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.name != "hash.key")
    assert secret not in written
    assert secret.hex().encode() not in written


def test_without_its_key_file_a_store_gets_another_key_and_keeps_the_rest(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path).change(lambda history: replace(history, applied="a" * 40))
    (tmp_path / "hash.key").unlink()
    second = SqliteStore(tmp_path).history()
    assert second.key.id != first.key.id
    assert second.applied == first.applied


def test_a_key_file_that_lost_its_content_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "hash.key").touch()
    assert len(SqliteStore(tmp_path).history().key.secret) == 32
    assert SqliteStore(tmp_path).history().key == SqliteStore(tmp_path).history().key


def test_idle_turns_never_push_out_those_that_did_something(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for number in range(100):
        store.record(later(BUSY, number))
    for number in range(MOST_TURNS[True] + 50):
        store.record(replace(later(QUIET, 1000 + number), error=f"remote down {number}"))
    turns = store.turns(10_000)
    assert sum(1 for turn in turns if turn.done) == 100
    assert len(turns) == 100 + MOST_TURNS[True]


def test_its_table_of_turns_is_bounded(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.record(BUSY)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        (document,) = database.execute("SELECT document FROM turns").fetchone()
        many = [(document,)] * (MOST_TURNS[False] + 20)
        database.executemany("INSERT INTO turns (idle, document) VALUES (0, ?)", many)
    store.record(later(BUSY, 1))
    assert len(store.turns(10_000)) == MOST_TURNS[False]


# --- other versions, and damage --------------------------------------------------------------------------------------


def test_an_older_database_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    SqliteStore(tmp_path).record(BUSY)
    newer = SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE extra (note TEXT); INSERT INTO extra VALUES ('here')"))
    assert newer.turns() == (BUSY,)
    newer.change(lambda history: history)
    assert newer.turns() == (BUSY,)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        assert database.execute("SELECT note FROM extra").fetchone() == ("here",)
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_an_older_program_goes_on_with_a_database_that_a_newer_one_only_looks_at(tmp_path: Path) -> None:
    older = SqliteStore(tmp_path)
    older.record(BUSY)
    older.change(lambda history: replace(history, applied="a" * 40))
    newer = SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE extra (note TEXT)"))
    assert (newer.turns(), newer.history().applied) == ((BUSY,), "a" * 40)
    newer.record(later(BUSY, 1))
    assert newer.turns() == (BUSY,), "what it saw before it came to work is not kept"
    assert (older.turns(), older.history().applied) == ((BUSY,), "a" * 40)


def test_a_database_of_the_first_version_keeps_its_history(tmp_path: Path) -> None:
    SqliteStore(tmp_path, migrations=MIGRATIONS[:1])
    document = asdict(replace(History(HashKey("", b"")), applied="a" * 40, pulled=[]))  # type: ignore[arg-type]
    del document["key"], document["suspended"], document["rollbacks"], document["overruled"]
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as database:
        database.execute("INSERT INTO history (only, document) VALUES (1, ?)", (json.dumps({**document, "replaced": []}),))
    history = SqliteStore(tmp_path).history()
    assert (history.applied, history.suspended, history.rollbacks) == ("a" * 40, {}, {})


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path).record(BUSY)
    with pytest.raises(Refused, match="no such table"):
        SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE extra (note TEXT); INSERT INTO missing VALUES (1)"))
    assert SqliteStore(tmp_path).turns() == (BUSY,)


def test_a_newer_database_is_refused_with_both_versions(tmp_path: Path) -> None:
    SqliteStore(tmp_path, migrations=(*MIGRATIONS, "CREATE TABLE extra (note TEXT)")).record(BUSY)
    known = len(MIGRATIONS)
    said = rf"state\.db has version {known + 1}; this program knows versions up to {known}"
    with pytest.raises(Refused, match=said) as refused:
        SqliteStore(tmp_path)
    assert refused.value.hint == "run the newer program again, or name another --state directory"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not a database at all" * 400),
        lambda path: path.write_bytes(path.read_bytes()[:2000] + b"\xff" * 9000),
        lambda path: _edit(path, "UPDATE turns SET document = '{'"),
        lambda path: _edit(path, "INSERT INTO history (only, document) VALUES (1, '{}')"),
    ],
    ids=["other bytes", "garbled pages", "garbled turn", "history without fields"],
)
def test_a_damaged_database_is_put_aside_and_said(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    SqliteStore(tmp_path).record(BUSY)
    _edit(tmp_path / "state.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "state.db")
    said: list[str] = []
    store = SqliteStore(tmp_path, warn=said.append)
    assert store.history().fresh
    assert store.turns() == ()
    store.record(BUSY)
    assert store.turns() == (BUSY,)
    (aside,) = tmp_path.glob("state.db.damaged-*")
    assert said == [f"the state database was damaged and begins anew; the old one is {aside}"]


def _edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def test_a_directory_that_cannot_be_made_is_refused_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="Not a directory") as refused:
        SqliteStore(tmp_path / "file" / "state")
    assert "--state" in refused.value.hint


def test_a_database_that_cannot_be_opened_now_is_unreachable(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    (tmp_path / "state.db").unlink()
    (tmp_path / "state.db").mkdir()
    with pytest.raises(Unreachable, match="unable to open database file"):
        store.history()


# --- two processes ---------------------------------------------------------------------------------------------------


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_count_up, args=(tmp_path, name)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = SqliteStore(tmp_path)
    assert store.history().replaced == {("a", ""): 25, ("b", ""): 25}
    assert len(store.turns()) == 50


def _count_up(directory: Path, name: str) -> None:
    store = SqliteStore(directory)
    for _ in range(25):
        store.change(lambda history: replace(history, replaced=_one_more(history, (name, ""))))
        store.record(BUSY)


def _one_more(history: History, key: tuple[str, str]) -> dict[tuple[str, str], int]:
    return {**history.replaced, key: history.replaced.get(key, 0) + 1}
