"""Are sizes, durations, flags, numbers and command strings read as Compose reads them?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from conformance_tables import fuzzed, table, wanted
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, Mark
from reconciler.load.shellwords import split
from reconciler.load.values import format_duration, parse_bool, parse_bytes, parse_duration, parse_float, parse_int

MARK = Mark("compose.yaml", 4, 2)


@pytest.mark.parametrize("row", table("own-durations"), ids=lambda row: row["text"])
def test_durations_are_read_and_written_as_by_go(row: dict[str, Any]) -> None:
    if wanted(row) == "error":
        with pytest.raises(InvalidState):
            parse_duration(row["text"])
    else:
        assert format_duration(parse_duration(row["text"])) == wanted(row)


@pytest.mark.parametrize("row", table("own-bytes"), ids=lambda row: row["text"])
def test_sizes_are_read_as_by_compose(row: dict[str, Any]) -> None:
    if wanted(row) == "error":
        with pytest.raises(InvalidState):
            parse_bytes(row["text"])
    else:
        assert parse_bytes(row["text"]) == int(wanted(row))


@pytest.mark.parametrize("row", table("own-words"), ids=lambda row: row["text"])
def test_commands_are_split_as_by_compose(row: dict[str, Any]) -> None:
    if wanted(row) == "error":
        with pytest.raises(InvalidState):
            split(row["text"])
    else:
        assert list(split(row["text"]).words) == wanted(row)


@pytest.mark.parametrize(
    ("text", "operator"),
    [("a | b", "|"), ("a 2>b", ">"), ("a && b", "&"), ("; a", ";"), ("a < b", "<"), ("a '|' b", ""), ("a \\; b", "")],
)
def test_the_operator_that_cuts_a_command_short_is_named(text: str, operator: str) -> None:
    assert split(text).stopped_at == operator


@pytest.mark.parametrize(("value", "expected"), [(5, 5), (-1, -1), (0, 0)])
def test_a_whole_number_is_a_size(value: int, expected: int) -> None:
    assert parse_bytes(value) == expected


@pytest.mark.parametrize("value", [1.5, 1e3, True, None, 1 << 63, float("inf")])
def test_any_other_value_without_quotes_is_no_size(value: float | None) -> None:
    with pytest.raises(InvalidState):
        parse_bytes(value)


@pytest.mark.parametrize("text", ["true", "TRUE", "y", "Yes", "on", "false", "N", "no", "OFF"])
def test_flags_are_read_in_any_case(text: str) -> None:
    assert parse_bool(text) is (text.lower() in ("true", "y", "yes", "on"))


@pytest.mark.parametrize("text", ["1", "0", "", "t", "maybe", " true"])
def test_nothing_else_is_a_flag(text: str) -> None:
    with pytest.raises(InvalidState):
        parse_bool(text)


@pytest.mark.parametrize("text", ["", "x", "1.5", "1_0", "0x1", " 1", "9223372036854775808", "1" * 5000, "٣"])
def test_text_that_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidState):
        parse_int(text)


@pytest.mark.parametrize("text", ["", "x", "inf", "nan", "1e999", "0x1p4", "1_0", "."])
def test_text_that_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidState):
        parse_float(text)


def test_numbers_in_text_are_read() -> None:
    assert (parse_int("-9223372036854775808"), parse_int("+007"), parse_float(".5e1")) == (-(1 << 63), 7, 5.0)


def test_a_problem_carries_its_place_and_no_value() -> None:
    with pytest.raises(InvalidState) as caught:
        parse_duration("hunter2", MARK, "services.web.stop_grace_period")
    (problem,) = caught.value.problems
    assert (problem.mark, problem.at) == (MARK, "services.web.stop_grace_period")
    assert "hunter2" not in problem.message + problem.hint


@fuzzed
@given(st.integers(-(1 << 63) + 1, (1 << 63) - 1))
def test_a_written_duration_is_read_back(nanoseconds: int) -> None:
    text = format_duration(nanoseconds)
    # Go multiplies fractions as floating-point numbers, which may lose the last nanosecond of a second.
    assert abs(parse_duration(text) - nanoseconds) <= 1


@fuzzed
@given(st.one_of(st.text(), st.text(alphabet="0123456789.+-_eE kKmMgGbBiIdhwsuµn")))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for parse in (parse_bytes, parse_duration, parse_bool, parse_int, parse_float):
        with suppress(InvalidState):
            parse(text)


@fuzzed
@given(st.text(alphabet="ab \\'\"`$(){};&|<>12\n\t"))
def test_any_command_is_split_or_refused(text: str) -> None:
    with suppress(InvalidState):
        split(text)


@fuzzed
@given(st.lists(st.text(), min_size=1))
def test_quoted_words_come_back(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    assert list(split(quoted).words) == words
