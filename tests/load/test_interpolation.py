"""Are variables replaced as Compose replaces them, and never at a high price?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from conformance_tables import fuzzed, table
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.interpolate import MAX_CHARACTERS, Budget, interpolate

NOTHING: dict[str, str] = {}
VARIABLES = {"A": "av", "B": "bv", "EMPTY": "", "_U": "uu", "N": "5", "U1": "${A}", "D": "$A"}


def problem(text: str, variables: dict[str, str] | None = None) -> Problem:
    with pytest.raises(InvalidState) as caught:
        interpolate(text, (variables or {}).get, Mark("c.yaml", 3, 5), "services.web.image")
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize("row", table("interpolation"), ids=lambda row: row["template"])
def test_the_conformance_table_is_answered_as_by_compose(row: dict[str, Any]) -> None:
    check(row, row["env"])


@pytest.mark.parametrize("row", table("own-interpolation"), ids=lambda row: row["template"])
def test_more_templates_are_answered_as_by_compose(row: dict[str, Any]) -> None:
    check(row, VARIABLES)


def check(row: dict[str, Any], variables: dict[str, str]) -> None:
    if "error" not in row:
        result = interpolate(row["template"], variables.get)
        assert (result.text, bool(result.unset)) == (row["expect"], row["warns_unset"])
        return
    required = "required" in row["error"]
    assert problem(row["template"], variables).code == ("R017" if required else "R007")


def test_each_unset_variable_is_named_once_in_order() -> None:
    assert interpolate("$B ${A} $B ${C:-x}", NOTHING.get).unset == ("B", "A")


def test_variables_without_braces_are_told_apart() -> None:
    assert interpolate("$B ${A} $C ${B}", {"C": "c"}.get).bare == {"B"}


@pytest.mark.parametrize(("text", "substituted"), [("x", False), ("$$", False), ("$A", True), ("${A-x}", True)])
def test_an_escape_alone_substitutes_nothing(text: str, substituted: bool) -> None:
    assert interpolate(text, NOTHING.get).substituted is substituted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${}", "invalid interpolation format: `${}` names no variable"),
        ("${", "invalid interpolation format: `${` is never closed"),
        ("${A", "invalid interpolation format: `${A` is never closed"),
        ("${A:-b\n}", "invalid interpolation format: `${A:-` is never closed"),
        ("${ A}", "invalid interpolation format: a variable's name cannot start with ' '"),
        ("${1}", "invalid interpolation format: a variable's name cannot start with '1'"),
        ("${A.B}", "invalid interpolation format: `${A` goes on with '.'"),
        ("${A:=x}", "invalid interpolation format: `${A` goes on with ':='"),
        ("${A:?say it}", "required variable A is missing a value: say it"),
        ("${A?}", "required variable A is missing a value"),
    ],
)
def test_a_message_says_what_is_wrong(text: str, message: str) -> None:
    found = problem(text)
    assert (found.message, found.mark, found.at) == (message, Mark("c.yaml", 3, 5), "services.web.image")


def test_the_message_of_a_required_variable_never_shows_another_ones_value() -> None:
    assert "hunter2" not in problem("${A:?ask for $PASSWORD}", {"PASSWORD": "hunter2"}).message


def test_a_long_variable_used_often_is_refused_and_a_budget_covers_a_whole_file() -> None:
    long = {"A": "x" * 1000}
    assert problem("$A" * 2000, long).code == "R014"
    budget = Budget()
    for _ in range(MAX_CHARACTERS // 1000):
        interpolate("$A", long.get, budget=budget)
    with pytest.raises(InvalidState):
        interpolate("$A", long.get, budget=budget)


@pytest.mark.parametrize(
    "text",
    [
        "${A:-" * 50_000,
        "${A:-" * 50_000 + "}" * 50_000,
        "${A:-x}" * 50_000,
        "${A:-{" * 50_000 + "}",
        "$A" * 100_000 + "}",
        "${A:-x}" * 50_000 + "y" * 500_000,
        "{" * 500_000 + "${A:-" + "{" * 400_000 + "}",
    ],
    ids=lambda text: text[:12],
)
def test_a_megabyte_of_references_is_answered_in_one_pass(text: str) -> None:
    seen: list[str] = []
    with suppress(InvalidState):
        interpolate(text, lambda name: seen.append(name))
    # Nesting is cut at a fixed depth, so no reference is looked up more often than it is written.
    assert len(seen) <= text.count("$")


@fuzzed
@given(st.text(alphabet="$${}AB_1:?+-x \n\\é", max_size=60), st.dictionaries(st.sampled_from("AB_"), st.text(max_size=5)))
def test_any_text_is_interpolated_or_refused(text: str, variables: dict[str, str]) -> None:
    with suppress(InvalidState):
        interpolate(text, variables.get)


@fuzzed
@given(st.text(), st.text(alphabet="AB"))
def test_escaped_text_comes_back_as_it_was(text: str, value: str) -> None:
    assert interpolate(text.replace("$", "$$"), {"A": value}.get).text == text
