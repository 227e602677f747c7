"""What does `history --follow` print while turns go on?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.cli import history, parser_for
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.memory import MemoryStore
from reconciler.model.status import Operation, Turn

CLOCK = VirtualClock()
TURN = Turn(CLOCK.now(), CLOCK.now(), "interval", Operation.SUCCEEDED, "a" * 40, "Ada", "web", "", "", "", (), (), "", "", 1)


def turn(second: int, done: int = 1) -> Turn:
    at = TURN.started + timedelta(seconds=second)
    return replace(TURN, started=at, finished=at, subject=f"turn {second}", done=done)


def interrupt() -> None:
    raise KeyboardInterrupt


def follow(*words: str) -> None:
    """Follow a history of four turns, to which two are added, one of them idle."""
    store, clock = MemoryStore(), VirtualClock()
    for second in range(4):
        store.record(turn(second))
    clock.call_later(5.5, lambda: store.record(turn(5)))
    clock.call_later(7.5, lambda: store.record(turn(7, done=0)))
    clock.call_later(20, interrupt)
    with pytest.raises(KeyboardInterrupt):
        history.follow(store, clock, parser_for("history").parse_args(["history", "--follow", *words]))


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        ([], ["turn 0", "turn 1", "turn 2", "turn 3", "turn 5"]),
        (["--number", "2"], ["turn 2", "turn 3", "turn 5"]),
        (["--number", "0"], ["turn 5"]),
        (["--all", "--number", "1"], ["turn 3", "turn 5", "turn 7"]),
    ],
)
def test_turns_are_printed_once_as_they_end(words: list[str], subjects: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    follow(*words)
    assert [line.split('"')[1] for line in capsys.readouterr().out.splitlines()] == subjects
    follow("--json", *words)
    assert [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()] == subjects


def test_turns_that_come_to_an_empty_history_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    store, clock = MemoryStore(), VirtualClock()
    clock.call_later(2.5, lambda: store.record(turn(2)))
    clock.call_later(5, interrupt)
    with pytest.raises(KeyboardInterrupt):
        history.follow(store, clock, parser_for("history").parse_args(["history", "--follow", "--number", "0"]))
    assert "turn 2" in capsys.readouterr().out


def test_a_history_is_followed_or_asked_about_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_for("history").parse_args(["history", "--follow", "--at", "12:00"])
    assert "not allowed with argument" in capsys.readouterr().err
