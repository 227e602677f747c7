"""Does the audit log show what was done to it: by a full disk, a killed process, or somebody's hand?"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.audit import document, lines, verify
from reconciler.drivers.memory import MemoryStore
from reconciler.drivers.sqlite import SqliteStore
from reconciler.drivers.sqlite.log import MOST_FILES, LogFiles
from reconciler.errors import Unreachable
from reconciler.model.audit import Entry, Kind, Piece, Result, Trail
from reconciler.ports import Store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
START = Entry(
    at=NOON,
    kind=Kind.ACTION,
    what="shop/web/1/start",
    target="shop/web",
    text="start instance",
    by="Ada <ada@example.org>",
    woke="new revision",
    revision="a" * 40,
    reasons=("image web:1 → web:2   stacks/shop/compose.yaml:7:3",),
    outcome=Result.DONE,
)


def said(number: int) -> Entry:
    return replace(START, what=f"shop/web/{number}/start")


def written(store: Store) -> list[str]:
    """Return what each line is about, notes of the log about itself in words."""
    return [one.entry.text if one.entry.kind is Kind.NOTE else one.entry.what for one in lines(store.trail())]


def found(store: Store) -> list[str]:
    return [f"{one.place}: {one.message}" for one in verify(store.trail()).findings]


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return SqliteStore(tmp_path / "state") if request.param == "sqlite" else MemoryStore()


def test_a_new_log_is_empty_and_whole(store: Store) -> None:
    assert (store.trail(), verify(store.trail()).findings) == (Trail(()), ())


def test_saying_nothing_writes_nothing(store: Store) -> None:
    store.audit([])
    assert store.trail() == Trail(())


def test_lines_come_back_as_they_were_said_and_the_log_is_whole(store: Store) -> None:
    strange = replace(START, kind=Kind.WORD, by="\x1b[2J\u202e", error="\n", outcome=Result.FAILED, actions=("a", "b"))
    store.audit([START, strange])
    store.audit([said(2)])
    assert [one.entry for one in lines(store.trail())] == [START, strange, said(2)]
    verdict = verify(store.trail())
    assert (verdict.findings, verdict.count, verdict.first, verdict.last) == ((), 3, 1, 3)


def test_what_an_engine_says_at_length_is_cut(store: Store) -> None:
    store.audit([replace(START, error="x" * 10_000, reasons=("y" * 10_000,) * 1000)])
    (piece,) = store.trail().pieces
    assert len(piece.content) < 150_000


def test_every_line_is_canonical_ascii_json_and_carries_the_sha256_of_the_one_before(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.audit([said(number) for number in range(5)])
    before = "0" * 64
    for number, line in enumerate((tmp_path / "audit" / "0000000001.jsonl").read_bytes().splitlines(), 1):
        data = json.loads(line)
        assert json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii") == line
        assert (data["number"], data["previous"], data["what"]) == (number, before, f"shop/web/{number - 1}/start")
        before = sha256(line).hexdigest()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    SqliteStore(tmp_path).audit([START])
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "audit" / "0000000001.jsonl").stat().st_mode & 0o777 == 0o600


# --- somebody's hand -------------------------------------------------------------------------------------------------

LENGTH = 12
WHOLE = MemoryStore()
for number in range(LENGTH):
    WHOLE.audit([said(number)])
ORIGINAL = WHOLE.trail().pieces[0].content.splitlines()

Edit = Callable[[list[bytes], st.DataObject], list[bytes]]


def _changed(log: list[bytes], data: st.DataObject) -> list[bytes]:
    index = data.draw(st.integers(0, len(log) - 1))
    position = data.draw(st.integers(0, len(log[index]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != ord("\n")))
    line = log[index][:position] + bytes([byte]) + log[index][position + data.draw(st.integers(0, 1)) :]
    return [*log[:index], line, *log[index + 1 :]]


def _retold(log: list[bytes], data: st.DataObject) -> list[bytes]:
    """A line that is as good as any, but for what it says."""
    index = data.draw(st.integers(0, len(log) - 1))
    key = data.draw(st.sampled_from(["by", "what", "outcome", "at", "number", "previous", "reasons"]))
    value = data.draw(st.sampled_from(["", "Eve", "failed", "2026-01-01T00:00:00+00:00", 3, "0" * 64, []]))
    line = json.dumps({**json.loads(log[index]), key: value}, sort_keys=True, separators=(",", ":")).encode()
    return [*log[:index], line, *log[index + 1 :]]


def _removed(log: list[bytes], data: st.DataObject) -> list[bytes]:
    first = data.draw(st.integers(0, len(log) - 1))
    last = data.draw(st.integers(first, len(log) - 1))
    return log[:first] + log[last + 1 :]


def _repeated(log: list[bytes], data: st.DataObject) -> list[bytes]:
    index, to = data.draw(st.integers(0, len(log) - 1)), data.draw(st.integers(0, len(log)))
    return [*log[:to], log[index], *log[to:]]


def _moved(log: list[bytes], data: st.DataObject) -> list[bytes]:
    return list(data.draw(st.permutations(log)))


@settings(max_examples=400, deadline=None)
@given(edit=st.sampled_from([_changed, _retold, _removed, _repeated, _moved]), data=st.data())
def test_whatever_is_changed_removed_put_in_or_moved_is_found(edit: Edit, data: st.DataObject) -> None:
    edited = edit(list(ORIGINAL), data)
    assume(edited != ORIGINAL)
    content = b"".join(line + b"\n" for line in edited)
    assert verify(Trail((Piece("log", content),) if content else (), WHOLE.trail().head)).findings


@given(length=st.integers(0, sum(map(len, ORIGINAL)) + LENGTH - 1))
def test_a_log_that_ends_too_early_is_found(length: int) -> None:
    content = WHOLE.trail().pieces[0].content[:length]
    assert verify(Trail((Piece("log", content),), WHOLE.trail().head)).findings


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (lambda log: [*log[:4], log[4].replace(b"Ada", b"Eve"), *log[5:]], "log:5: line 5 is not the one that line 6 was"),
        (lambda log: [*log[:4], *log[5:]], "log:5: line 6 follows line 4: line 5 is missing between them"),
        (lambda log: [*log[:4], *log[7:]], "log:5: line 8 follows line 4: lines 5 to 7 are missing between them"),
        (lambda log: [*log[:4], log[3], *log[4:]], "log:5: line 4 follows line 4: it was moved or put in"),
        (lambda log: [*log[:4], b"{}", *log[5:]], "log:5: is no line of an audit log"),
        (lambda log: log[2:], "log:1: lines 1 to 2 are missing before it"),
        (lambda log: log[:-1], "log:11: line 12 is missing after it"),
        (lambda log: [*log[:-1], log[-1].replace(b"Ada", b"Eve")], "log:12: line 12 is not the one that the state database"),
        (lambda log: [log[0].replace(b'"previous":"0', b'"previous":"1'), *log[1:]], "log:1: line 1 was changed"),
    ],
)
def test_a_finding_says_which_line(edit: Callable[[list[bytes]], list[bytes]], finding: str) -> None:
    content = b"".join(line + b"\n" for line in edit(list(ORIGINAL)))
    first = verify(Trail((Piece("log", content),), WHOLE.trail().head)).findings[0]
    assert f"{first.place}: {first.message}".startswith(finding)


def test_a_log_that_is_gone_is_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.audit([said(1), said(2)])
    shutil.rmtree(tmp_path / "audit")
    assert found(store) == ["the audit log: lines 1 to 2 are missing"]
    store.audit([said(3)])
    assert written(store) == ["line 2 should have been the last here, and is not", "shop/web/3/start"]
    assert found(store) == ["0000000003.jsonl:1: lines 1 to 2 are missing before it"]


def test_what_was_cut_stays_to_be_seen_after_the_log_went_on(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.audit([said(1), said(2)])
    log = tmp_path / "audit" / "0000000001.jsonl"
    log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    store.audit([said(3)])
    assert found(store) == ["0000000001.jsonl:2: line 3 follows line 1: line 2 is missing between them"]
    assert "line 2 should have been the last here, and is not" in written(store)


def test_without_a_database_the_log_goes_on_and_says_so(tmp_path: Path) -> None:
    SqliteStore(tmp_path).audit([said(1)])
    (tmp_path / "state.db").unlink()
    store = SqliteStore(tmp_path)
    store.audit([said(2)])
    note = "the state database did not know that line 1 was the last"
    assert written(store) == ["shop/web/1/start", note, "shop/web/2/start"]
    assert found(store) == []


def test_a_log_whose_last_line_is_garbage_goes_on_without_a_database(tmp_path: Path) -> None:
    SqliteStore(tmp_path).audit([said(1)])
    (tmp_path / "state.db").unlink()
    log = tmp_path / "audit" / "0000000001.jsonl"
    log.write_bytes(log.read_bytes() + b"garbage\n")
    store = SqliteStore(tmp_path)
    store.audit([said(2)])
    assert found(store) == ["0000000001.jsonl:2: is no line of an audit log"]
    assert verify(store.trail()).last == 4


# --- processes that are killed ---------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(kept=st.integers(0, 500))
def test_a_line_that_was_torn_is_noted_with_what_is_left_of_it(kept: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("state")
    store = SqliteStore(directory)
    store.audit([said(1)])
    torn = ORIGINAL[1][:kept]
    with (directory / "audit" / "0000000001.jsonl").open("ab") as log:
        log.write(torn)
    assert (found(store), verify(store.trail()).torn) == ([], bool(torn))
    store.audit([said(2)])
    note = [f"a line was cut off in the middle: {torn.decode()}"] if torn else []
    assert written(store) == ["shop/web/1/start", *note, "shop/web/2/start"]
    assert found(store) == []


def test_lines_of_a_process_that_was_killed_before_the_database_knew_are_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.audit([said(1)])
    head = store.trail().head
    assert head is not None
    LogFiles(tmp_path / "audit").append([said(2), said(3)], head)
    assert found(store) == []
    store.audit([said(4)])
    assert written(store) == [f"shop/web/{number}/start" for number in (1, 2, 3, 4)]
    assert found(store) == []


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(tmp_path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = SqliteStore(tmp_path)
    assert (found(store), verify(store.trail()).count) == ([], 40)


def _write_many(directory: Path) -> None:
    store = SqliteStore(directory)
    for number in range(20):
        store.audit([said(number)])


# --- the disk --------------------------------------------------------------------------------------------------------


@contextmanager
def full_from(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_lines_wait_for_a_disk_that_has_room_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.audit([said(1)])
    with full_from(100), pytest.raises(Unreachable):
        store.audit([said(2)])
    assert written(store) == ["shop/web/1/start"]
    store.audit([said(3)])
    assert written(store) == [f"shop/web/{number}/start" for number in (1, 2, 3)]
    assert found(store) == []


def test_half_of_a_line_is_taken_back_when_the_disk_is_full(tmp_path: Path) -> None:
    log = LogFiles(tmp_path / "audit")
    with log.locked():
        head = log.append([said(1)], None)
        before = log.pieces()
        with full_from(len(before[0].content) + 100), pytest.raises(OSError, match="File too large"):
            log.append([said(2)], head)
        assert log.pieces() == before


def test_lines_that_wait_for_too_long_are_counted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with full_from(0), pytest.raises(Unreachable):
        store.audit([said(number) for number in range(1200)])
    store.audit([said(1200)])
    assert written(store)[:2] == ["200 lines are lost: for too long they could not be written", "shop/web/200/start"]
    assert found(store) == []


def test_the_disk_it_takes_is_bounded_and_the_chain_goes_on_from_file_to_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, most_log_bytes=2000)
    for number in range(100):
        store.audit([said(number)])
    files = sorted((tmp_path / "audit").iterdir())
    assert len(files) == MOST_FILES
    assert max(path.stat().st_size for path in files) < 2000 + 1000
    verdict = verify(store.trail())
    assert (verdict.findings, verdict.last, verdict.first) == ((), 100, int(files[0].stem))
    assert verdict.first > 1


def test_a_whole_file_that_was_removed_is_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, most_log_bytes=2000)
    for number in range(12):
        store.audit([said(number)])
    first, second, *_ = sorted((tmp_path / "audit").iterdir())
    moved = [second.rename(tmp_path / second.name)]
    assert "missing between them" in found(store)[0]
    moved[0].rename(second)
    first.unlink()
    assert "missing before it" in found(store)[0]


def test_a_document_says_what_the_line_says(store: Store) -> None:
    store.audit([START])
    (line,) = lines(store.trail())
    (piece,) = store.trail().pieces
    assert json.loads(json.dumps(document(line))) == json.loads(piece.content)
