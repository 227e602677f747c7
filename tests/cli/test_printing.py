"""Is text aligned, and coloured only where somebody sees it and wants it?"""

from __future__ import annotations

import io

import pytest

from reconciler.cli.printing import columns, say, section


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_stand_beneath_each_other_without_blanks_at_the_end() -> None:
    assert list(columns([("a", "1", ""), ("longer", "", "x"), ("b", "22", "")], indent=" ")) == [
        " a       1",
        " longer      x",
        " b       22",
    ]


def test_no_rows_are_no_lines() -> None:
    assert list(columns([])) == []


def test_a_section_without_entries_is_not_there() -> None:
    assert list(section("title", [])) == []
    assert list(section("title", ["one", "two"])) == ["title", "  one", "  two"]


def test_a_terminal_gets_the_words_that_matter_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    say("error: web is Degraded; a terror\n", terminal)
    assert terminal.getvalue() == "\x1b[31merror\x1b[0m: web is Degraded; a terror\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    terminal = Terminal()
    say("error: it\n", terminal)
    assert terminal.getvalue() == "error: it\n"


def test_text_of_others_cannot_play_with_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        say("\x1b[31mred\x1b[0m\x1b[2J\r\x07\n", out)
    assert terminal.getvalue() == "\x1b[31mred\x1b[0m\\x1b[2J\\r\\x07\n"
    assert file.getvalue() == "\x1b[31mred\x1b[0m\x1b[2J\r\x07\n"


def test_a_file_gets_no_colour() -> None:
    file = io.StringIO()
    say("error: it\n", file)
    assert file.getvalue() == "error: it\n"
