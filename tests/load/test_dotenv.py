"""Are env files read as Compose reads them, with places and without showing a value?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from conformance_tables import fuzzed, table, wanted
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, Problem
from reconciler.load.dotenv import EnvFile, parse_env, parse_raw_env

VARIABLES = {"KNOWN": "kv", "SVCE": "se"}


def read(text: str) -> EnvFile:
    return parse_env(text.encode(), "web.env", VARIABLES.get)


def values(file: EnvFile) -> dict[str, str]:
    return {name: value for name, (value, _) in file.variables.items() if value is not None}


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidState) as caught:
        read(text)
    return caught.value.problems


@pytest.mark.parametrize("row", table("own-dotenv"), ids=lambda row: row["text"])
def test_env_files_are_read_as_by_compose(row: dict[str, Any]) -> None:
    if wanted(row) == "error":
        problems(row["text"])
    else:
        assert values(read(row["text"])) == wanted(row)


def test_a_variable_remembers_its_place_and_is_never_literal() -> None:
    mark = read("# a comment\n\n  B='two\nlines'\nA=1\n").variables["A"][1]
    assert (mark.path, mark.line, mark.column, mark.literal) == ("web.env", 5, 1, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=1", "a variable without a name"),
        ("A B=1", "a variable's name holds a space"),
        ("A/B=1", "a variable's name holds '/'"),
        ("A/ B=1", "a variable's name holds '/'"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(text: str, message: str) -> None:
    assert [one.message for one in problems(text)] == [message]


def test_a_bare_name_takes_the_outer_value_or_stays_absent() -> None:
    assert [value for value, _ in read("KNOWN\nOTHER").variables.values()] == ["kv", None]


def test_a_bare_name_without_an_outer_value_does_not_take_an_earlier_one_away() -> None:
    assert values(read("A=1\nA\n")) == {"A": "1"}


def test_names_stand_in_the_order_of_the_file() -> None:
    assert list(read("B=1\nA=2\nB=3").variables) == ["B", "A"]


def test_a_variable_without_a_value_is_reported_with_its_place() -> None:
    ((name, mark),) = read("A=1\nB=$NOPE\n").unset
    assert (name, mark.line) == ("NOPE", 2)


def test_text_after_a_closing_quote_is_warned_of() -> None:
    (warning,) = read('A="secret"rest\nB="x" # a comment\n').warnings
    assert (warning.code, warning.at) == ("R009", "A")


def test_all_problems_of_a_file_come_in_one_run_and_none_shows_a_value() -> None:
    found = problems("A/B=hunter2\nC=1\nD E=hunter2\n=hunter2\nF=${hunter2.}\nG='hunter2\nH=2\n")
    assert [(problem.mark.line if problem.mark else 0, problem.code) for problem in found] == [
        (1, "R008"),
        (3, "R008"),
        (4, "R008"),
        (5, "R007"),
        (6, "R008"),
    ]
    assert not any("hunter2" in problem.message for problem in found if problem.code == "R008")


def test_the_raw_format_keeps_quotes_dollars_and_trailing_space() -> None:
    text = b"\xef\xbb\xbf# c\n\n  A='$x' \nB=a#b #c\r\nKNOWN\nNOPE\nC=\n"
    file = parse_raw_env(text, "web.env", VARIABLES.get)
    assert values(file) == {"A": "'$x' ", "B": "a#b #c", "KNOWN": "kv", "C": ""}
    mark = file.variables["B"][1]
    assert (mark.path, mark.line, mark.column, mark.literal) == ("web.env", 4, 1, False)


@pytest.mark.parametrize("text", [b"=1\n", b"A B=1\n", b"A\t=1\n", b"export A=1\n"])
def test_the_raw_format_refuses_names_with_spaces_and_no_name(text: bytes) -> None:
    with pytest.raises(InvalidState):
        parse_raw_env(text, "web.env", VARIABLES.get)


def test_lines_that_each_double_the_one_before_are_refused() -> None:
    lines = ["A0=xxxxxxxxxx", *(f"A{n}=$A{n - 1}$A{n - 1}" for n in range(1, 60))]
    assert problems("\n".join(lines))[0].code == "R014"


@pytest.mark.parametrize(("line", "code"), [("A=\n", "R012"), ("A\n", "R012"), ("/\n", "R013")])
def test_a_file_of_endless_lines_is_given_up(line: str, code: str) -> None:
    found = problems(line * 20_000)
    assert found[-1].code == code
    assert len(found) < 100


@pytest.mark.parametrize("text", ["A='" * 300_000, "A=\\" * 300_000, " " * 1_000_000 + "!", "A" * 1_000_000, "#\n" * 500_000])
def test_a_megabyte_is_read_in_one_pass(text: str) -> None:
    with suppress(InvalidState):
        read(text)


@fuzzed
@given(st.one_of(st.binary(), st.text(alphabet="AB=:\"'\\$ {}#\n\r\texport0").map(str.encode)))
@example(b"A=\\")
@example(b"A='\\'")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_env, parse_raw_env):
        with suppress(InvalidState):
            parse(data, "web.env", VARIABLES.get)
