"""Does every case mean what docker compose says it means?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_cases import TABLES, comparable, given_cases, large_cases, load_case, own_cases, shown, wanted

from reconciler.errors import InvalidState
from reconciler.load.compose import load_as_written

CASES = [*given_cases(), *own_cases(), *large_cases()]
KNOWN_FAILURES: dict[str, str] = json.loads((TABLES / "known-failures.json").read_text("utf-8"))


def _parameters() -> list[Any]:
    return [
        pytest.param(
            case,
            id=case["name"],
            marks=[pytest.mark.xfail(reason=KNOWN_FAILURES[case["name"]], strict=True)]
            if case["name"] in KNOWN_FAILURES
            else [],
        )
        for case in CASES
    ]


@pytest.mark.parametrize("case", _parameters())
def test_a_case_means_what_compose_says(
    case: dict[str, Any], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("table", case["table"])
    if "error" in case["expect"]:
        with pytest.raises(InvalidState):
            load_case(case, tmp_path)
    else:
        assert shown(load_case(case, tmp_path)) == wanted(case, tmp_path)


@pytest.mark.parametrize("case", own_cases("as-written"), ids=lambda case: case["name"])
def test_without_interpolation_a_case_stays_as_it_is_written(case: dict[str, Any], tmp_path: Path) -> None:
    if "error" in case["expect"]:
        with pytest.raises(InvalidState):
            load_case(case, tmp_path, load_as_written)
    else:
        assert comparable(load_case(case, tmp_path, load_as_written).document) == wanted(case, tmp_path)


def test_every_known_failure_names_a_case() -> None:
    assert KNOWN_FAILURES.keys() <= {case["name"] for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if "ok" in case["expect"]], ids=lambda case: case["name"])
def test_every_value_knows_where_it_was_written(case: dict[str, Any], tmp_path: Path) -> None:
    project = load_case(case, tmp_path)
    for name, service in project.document["services"].items():
        for attribute in service:
            assert project.marks[("services", name, attribute)].line > 0
