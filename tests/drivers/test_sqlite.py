"""Does the state directory remember what it should, for whoever asks, and survive what befalls it?"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.memory import MemoryStore
from reconciler.drivers.sqlite import MIGRATIONS, MOST_DAMAGED, MOST_TURNS, SqliteStore
from reconciler.drivers.sqlite.documents import stacks_document, turn_document
from reconciler.errors import Refused, Unreachable
from reconciler.model.history import Backoff, HashKey, History, Overrule, Quarantine, Rollback, Suspension
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn
from reconciler.model.traffic import MOST_SAMPLES, Sample
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


def _document(turn: Turn) -> str:
    return turn_document(turn, stacks_document(turn.stacks))


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


@pytest.mark.parametrize(
    ("turn", "kept"),
    [
        (later(QUIET, 9), False),
        (later(QUIET, 10), True),
        (later(QUIET, -1), True),
        (later(replace(QUIET, stacks=()), 1), True),
        (later(replace(QUIET, error="the Git remote does not answer"), 1), True),
        (later(BUSY, 1), True),
    ],
    ids=["as before", "a while later", "before, by a clock set back", "others are there", "an error", "something done"],
)
def test_a_turn_is_left_out_only_where_it_repeats_what_was_just_said(tmp_path: Path, turn: Turn, kept: bool) -> None:
    store = SqliteStore(tmp_path)
    store.record(BUSY)
    store.record(QUIET)
    store.record(turn)
    assert store.turns()[0] == (turn if kept else QUIET)


def test_after_a_turn_that_could_not_be_written_none_is_left_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.record(QUIET)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON turns BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END")
    for turn in (later(BUSY, 1), later(QUIET, 2)):
        with pytest.raises(sqlite3.IntegrityError):
            store.record(turn)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("DROP TRIGGER full")
    store.record(later(QUIET, 3))
    assert store.turns()[0] == later(QUIET, 3)


def test_turns_that_did_the_same_twice_are_both_kept(store: Store) -> None:
    store.record(BUSY)
    store.record(later(BUSY, 30))
    assert len(store.turns()) == 2


def counted(seconds: float, name: str = "any:80") -> Sample:
    return Sample(NOON + timedelta(seconds=seconds), name, {"sessions": 7, "5xx": 0}, 3, 1, 12)


def test_samples_come_back_as_they_were_oldest_first_and_go_after_their_time(store: Store) -> None:
    first = (counted(0), counted(0, "shop.web.80/0123456789ab"))
    store.sample(first)
    store.sample([counted(600)])
    assert store.samples() == (*first, counted(600))
    store.sample([counted(901)])
    assert store.samples() == (counted(600), counted(901))
    store.sample([])
    assert store.samples() == (counted(600), counted(901))


def test_there_are_never_too_many_samples(store: Store) -> None:
    store.sample(counted(0, f"shop.web.80/{number:012x}") for number in range(MOST_SAMPLES))
    store.sample([counted(1)])
    found = store.samples()
    assert (len(found), found[-1]) == (MOST_SAMPLES, counted(1))


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
    behind=st.dictionaries(_names, _names, max_size=2),
    quarantine=st.dictionaries(_names, st.builds(Quarantine, _names, _names, _names, _names, _times), max_size=2),
    heals=_backoffs,
    retries=_backoffs,
    jobs=st.dictionaries(_names, st.lists(_names, max_size=3).map(tuple), max_size=2),
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


@pytest.mark.parametrize(("bytes_each", "kept"), [(10_000, 200), (30_000, 100)])
def test_large_turns_are_dropped_before_their_time_but_for_the_last_hundred_that_did_something(
    tmp_path: Path, bytes_each: int, kept: int
) -> None:
    store = SqliteStore(tmp_path, most_turn_bytes=2_000_000)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        many = [(_document(replace(later(BUSY, number), plan="x" * bytes_each)), bytes_each) for number in range(250)]
        database.executemany("INSERT INTO turns (idle, document, bytes) VALUES (0, ?, ?)", many)
    store.record(later(BUSY, 250))
    assert [turn.started for turn in store.turns(1000)] == [later(BUSY, 250 - number).started for number in range(kept)]


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


# What programs of older versions wrote, as they wrote it: version of the schema -> statements that fill it.
_LEARNED = {
    "fresh": False, "attempted": "b", "applied": "a", "manual": {"shop": "a"}, "quarantine": {}, "heals": {},
    "retries": {"shop/web": {"attempts": 2, "last": "2026-11-23 12:00:00Z", "next": "2026-11-23 12:05:00Z", "why": "x"}},
    "jobs": {"shop/migrate": ["v1:k:h"]}, "pulled": ["web:1"], "ran": {"shop/web": ["web:1"]}, "retried": {},
    "replaced": [["shop/web/1", "v1:k:h", 2]], "updated": {}, "asked": {"web:1": "2026-11-23 11:00:00+00:00"},
}  # fmt: skip
_SUSPENDED = {"suspended": {"shop": {"reason": "swap", "since": "2026-11-23 12:00:00+00:00", "until": None}}}
_ROLLED_BACK = {
    "rollbacks": {"shop": {"to": "a", "origin": "b", "services": ["shop/web"], "reason": "", "at": "2026-11-23 12:00:00+00:00"}}
}
_OVERRULED = {"overruled": {"*": {"revision": "b", "reason": "a fix"}}}
_DOCUMENTS = {
    1: _LEARNED,
    2: {**_LEARNED, **_SUSPENDED},
    3: {**_LEARNED, **_SUSPENDED, **_ROLLED_BACK},
    4: {**_LEARNED, **_SUSPENDED, **_ROLLED_BACK, **_OVERRULED},
    5: {**_LEARNED, **_SUSPENDED, **_ROLLED_BACK, **_OVERRULED},
    6: {**_LEARNED, **_SUSPENDED, **_ROLLED_BACK, **_OVERRULED},
}


def _old_database(directory: Path, version: int) -> None:
    """Write a database of an older version: what was learned, a turn, and the audit log's head where it has one."""
    SqliteStore(directory).record(BUSY)
    with closing(sqlite3.connect(directory / "state.db")) as database:
        (turn,) = database.execute("SELECT document FROM turns").fetchone()
    for path in directory.glob("state.db*"):
        path.unlink()
    SqliteStore(directory, migrations=MIGRATIONS[:version])
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as database:
        database.execute("INSERT INTO history (only, document) VALUES (1, ?)", (json.dumps(_DOCUMENTS[version]),))
        database.execute("INSERT INTO turns (idle, document) VALUES (0, ?)", (turn,))
        if version >= 5:
            database.execute("INSERT INTO audit (only, number, hash, first) VALUES (1, 7, 'h', 2)")


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_database_of_every_older_version_keeps_all_it_holds(tmp_path: Path, version: int) -> None:
    _old_database(tmp_path, version)
    store = SqliteStore(tmp_path)
    looked_at = store.history()
    history = store.change(lambda history: replace(history, attempted="c"))
    assert (replace(looked_at, attempted="c"), looked_at.attempted) == (history, "b")
    assert (history.applied, history.manual, history.pulled) == ("a", {"shop": "a"}, {"web:1"})
    assert (history.jobs, history.ran) == ({"shop/migrate": ("v1:k:h",)}, {"shop/web": ("web:1",)})
    assert (history.retries["shop/web"].attempts, history.replaced) == (2, {("shop/web/1", "v1:k:h"): 2})
    assert [one.reason for one in history.suspended.values()] == (["swap"] if version >= 2 else [])
    assert [one.services for one in history.rollbacks.values()] == ([("shop/web",)] if version >= 3 else [])
    assert [one.reason for one in history.overruled.values()] == (["a fix"] if version >= 4 else [])
    head = store.trail().head
    assert (head and head.number) == (7 if version >= 5 else None)
    store.record(later(BUSY, 60))
    assert store.turns() == (later(BUSY, 60), BUSY)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_program_goes_on_with_the_copy_that_was_kept_for_it(tmp_path: Path, version: int) -> None:
    _old_database(tmp_path, version)
    (tmp_path / "state.db.version-0").touch()
    SqliteStore(tmp_path).change(lambda history: replace(history, applied="c"))
    (copy,) = tmp_path.glob("state.db.version-*")
    assert (copy.name, stat.S_IMODE(copy.stat().st_mode)) == (f"state.db.version-{version}", 0o600)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (version,)
        (document,) = database.execute("SELECT document FROM history").fetchone()
        assert json.loads(document) == _DOCUMENTS[version]
        assert database.execute("SELECT count(*) FROM turns").fetchone() == (1,)


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


def test_only_so_many_damaged_databases_are_kept(tmp_path: Path) -> None:
    for number in range(MOST_DAMAGED + 2):
        SqliteStore(tmp_path).record(BUSY)
        (tmp_path / "state.db").write_bytes(f"damage {number}".encode() * 400)
        SqliteStore(tmp_path)
    kept = {path.read_bytes()[:8] for path in tmp_path.glob("state.db.damaged-*")}
    assert kept == {f"damage {number}".encode() for number in range(2, MOST_DAMAGED + 2)}


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
