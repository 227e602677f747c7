"""What does `reconciler audit` print of what people and turns did, and does every word that changes something stand there?"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.audit import lines
from reconciler.cli import main
from reconciler.cli.resume import resume
from reconciler.cli.retry import retry
from reconciler.cli.suspend import suspend
from reconciler.drivers.memory import MemoryStore
from reconciler.drivers.sqlite import SqliteStore
from reconciler.errors import Unreachable
from reconciler.model.audit import Entry, Kind, Result
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
US = pwd.getpwuid(os.getuid()).pw_name
SHOP = StackStatus("shop", Sync.SYNCED, Health.HEALTHY, (ServiceStatus("shop", "web", Sync.SYNCED, Health.HEALTHY, 1, 1, 1),))
TURN = Turn(NOON, NOON, "command", Operation.SUCCEEDED, "a" * 40, "", "", "a" * 40, "", "", (), (SHOP,), "", "")
START = Entry(
    at=NOON,
    kind=Kind.ACTION,
    what="shop/web/1/start",
    target="shop/web",
    text="start instance",
    by="Ada <ada@example.org>",
    woke="new revision",
    revision="3f2a9c1" + "0" * 33,
    reasons=("image web:1 → web:2   compose.yaml:7:3",),
    outcome=Result.FAILED,
    error="no such image",
)
OTHER = replace(START, at=NOON + timedelta(hours=1), what="data/db/1/stop", target="data/db", outcome=Result.DONE, error="")
FREEZE = Entry(NOON + timedelta(hours=2), Kind.WORD, "suspend", "*", "until 18:00", by="eve\x1b[2J", reasons=("fair",))
BEGUN = Entry(NOON, Kind.BEGUN, "1 action", by=START.by, revision=START.revision, actions=(START.what,))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path)
    for entry in (BEGUN, START, OTHER, FREEZE):
        store.audit([entry])
    return tmp_path


@pytest.fixture
def seen() -> MemoryStore:
    """A history that has seen one service, with a version of it that failed."""
    store = MemoryStore()
    store.record(TURN)
    return store


# --- every word that changes something -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("say", "verb", "said"),
    [
        (
            lambda store: suspend(store, NOON, ["shop", "shop/web"], reason="disk\nswap"),
            "suspend",
            {"shop": "until `reconciler resume`", "shop/web": "until `reconciler resume`"},
        ),
        (
            lambda store: suspend(store, NOON, [], everything=True, until=NOON + timedelta(hours=6)),
            "suspend",
            {"*": "until 2026-11-23 18:00:00Z"},
        ),
        (lambda store: resume(store, NOON, ["shop"]), "resume", {"shop": ""}),
        (lambda store: retry(store, NOON, ["shop/web"]), "retry", {"shop/web": ""}),
    ],
)
def test_a_word_is_written_down_with_who_said_it(
    seen: MemoryStore, say: Callable[[MemoryStore], str], verb: str, said: dict[str, str]
) -> None:
    say(seen)
    entries = [line.entry for line in lines(seen.trail())]
    assert {one.target: one.text for one in entries} == said
    assert {(one.kind, one.what, one.by, one.outcome) for one in entries} == {(Kind.WORD, verb, US, Result.DONE)}


def test_why_it_was_said_is_written_down(seen: MemoryStore) -> None:
    suspend(seen, NOON, ["shop"], reason="disk\nswap")
    resume(seen, NOON, ["shop"])
    assert [(line.entry.reasons, line.entry.text) for line in lines(seen.trail())] == [
        (("disk swap",), "until `reconciler resume`"),
        ((), "disk swap"),
    ]


class FullStore(MemoryStore):
    """A state directory whose disk has room for the state alone."""

    def audit(self, entries: Iterable[Entry]) -> None:
        raise Unreachable("audit log: No space left on device")


def test_a_word_counts_though_it_cannot_be_written_down(capsys: pytest.CaptureFixture[str]) -> None:
    store = FullStore()
    suspend(store, NOON, [], everything=True)
    assert store.history().suspended
    assert capsys.readouterr().err == "warning: it is not in the audit log: audit log: No space left on device\n"


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_prints_what_was_done_newest_first(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", "--state", str(state)]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "4  2026-11-23 14:00:00Z  word           suspend everything  eve\\x1b[2J                             until 18:00",
        "    fair",
        "3  2026-11-23 13:00:00Z  action done    data/db/1/stop      Ada         for 3f2a9c1  new revision  start instance",
        "    image web:1 → web:2   compose.yaml:7:3",
        "2  2026-11-23 12:00:00Z  action failed  shop/web/1/start    Ada         for 3f2a9c1  new revision  start instance",
        "    image web:1 → web:2   compose.yaml:7:3",
        "    error: no such image",
        "1  2026-11-23 12:00:00Z  begun          1 action            Ada         for 3f2a9c1",
        "    shop/web/1/start",
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ([], [4, 3, 2, 1]),
        (["shop"], [4, 2, 1]),
        (["data/db", "shop/api"], [4, 3]),
        (["sho"], [4]),
        (["--since", "2026-11-23T13:00"], [4, 3]),
        (["shop", "--since", "2026-11-23T13:00"], [4]),
        (["--number", "2"], [4, 3]),
    ],
)
def test_show_chooses(state: Path, capsys: pytest.CaptureFixture[str], words: list[str], numbers: list[int]) -> None:
    assert main(["audit", "show", *words, "--json", "--state", str(state)]) == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == numbers


def test_every_line_is_as_its_schema_says(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "audit"]) == 0
    schema = Draft202012Validator(json.loads(capsys.readouterr().out))
    assert main(["audit", "show", "--json", "--state", str(state)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [schema.is_valid(line) for line in lines] == [True] * 4
    assert not schema.is_valid({**lines[0], "kind": "rumour"})


def test_show_says_when_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing of that kind was written down\n"


# --- verify ----------------------------------------------------------------------------------------------------------


def test_verify_says_that_nothing_was_changed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--state", str(state)]) == 0
    assert capsys.readouterr().out == "4 lines, 1 to 4: as they were written\n"


def test_verify_says_which_line_was_changed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = state / "audit" / "0000000001.jsonl"
    log.write_bytes(log.read_bytes().replace(b"no such image", b"all was well!"))
    assert main(["audit", "verify", "--state", str(state)]) == 1
    message = "line 2 is not the one that line 3 was written after"
    assert capsys.readouterr().out == f"0000000001.jsonl:2: {message}\n4 lines, 1 to 4: 1 wrong\n"
    assert main(["audit", "verify", "--json", "--state", str(state)]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "whole": False,
        "lines": 4,
        "first": 1,
        "last": 4,
        "findings": [{"place": "0000000001.jsonl:2", "message": message}],
    }


def test_verify_reads_copies_and_says_what_they_cannot_tell(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = state / "audit" / "0000000001.jsonl"
    first, second = state / "first", state / "second"
    head, tail = log.read_bytes().splitlines(keepends=True)[:2], log.read_bytes().splitlines(keepends=True)[2:]
    first.write_bytes(b"".join(head))
    second.write_bytes(b"".join(tail))
    assert main(["audit", "verify", str(first), str(second)]) == 0
    assert capsys.readouterr().out == (
        "note: whether lines before 1 or after 4 are missing, these files cannot tell\n4 lines, 1 to 4: as they were written\n"
    )
    assert main(["audit", "verify", str(second), str(first)]) == 1
    assert "line 1 follows line 4" in capsys.readouterr().out


def test_verify_refuses_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(tmp_path / "gone")]) == 1
    assert f"error: {tmp_path / 'gone'} cannot be read: No such file or directory" in capsys.readouterr().err


def test_verify_tells_of_a_line_that_is_still_being_written(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (state / "audit" / "0000000001.jsonl").open("ab") as log:
        log.write(b'{"actions":[')
    assert main(["audit", "verify", "--state", str(state)]) == 0
    assert "note: a line was being written when its process ended" in capsys.readouterr().out
