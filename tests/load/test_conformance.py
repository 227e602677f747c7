"""Does every case mean what docker compose says it means?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compose_cases import TABLES, comparable, given_cases, hashed_cases, large_cases, load_case, own_cases, shown, wanted

from reconciler.errors import InvalidState
from reconciler.load.compose import load_as_written
from reconciler.load.service_hash import service_hashes

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


HASHES: dict[str, dict[str, str]] = json.loads((TABLES / "hashes.json").read_text("utf-8"))


@pytest.mark.parametrize("name", HASHES)
def test_a_service_has_the_hash_that_compose_gives_it(name: str, tmp_path: Path) -> None:
    assert service_hashes(load_case(hashed_cases()[name], tmp_path)) == HASHES[name]


def test_a_hash_is_the_one_on_the_container_where_an_env_file_is_read(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "services: {w: {image: 'busybox:1.36', env_file: [e.env], environment: {B: '2'}}}",
        "e.env": "A=1\n",
    }
    # What `docker compose create` 2.40.3 put into the label com.docker.compose.config-hash.
    label = "2826ad5be8d0ce7585d47e3ce4066d95514a093a5bacd3135d8f6166df80fdec"
    assert service_hashes(load_case({"files": files}, tmp_path)) == {"w": label}


def test_every_known_failure_names_a_case() -> None:
    assert KNOWN_FAILURES.keys() <= {case["name"] for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if "ok" in case["expect"]], ids=lambda case: case["name"])
def test_every_value_knows_where_it_was_written(case: dict[str, Any], tmp_path: Path) -> None:
    project = load_case(case, tmp_path)
    for name, service in project.document["services"].items():
        for attribute in service:
            assert project.marks[("services", name, attribute)].line > 0
