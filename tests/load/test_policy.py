"""Each preset refuses, warns and lets pass what the operator was promised, whichever way the repository asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from building import load

from reconciler.load import attributes
from reconciler.load.policy import check_resource, check_service
from reconciler.load.resources import build_networks, build_volumes
from reconciler.load.service import build_service
from reconciler.model.desired import Stack
from reconciler.model.policy import EXCEPTIONS, Policy, Preset, is_exception

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "cases" / "policy.yaml").read_text())


def found(case: dict[str, Any], directory: Path, preset: Preset, allow: tuple[str, ...] = ()) -> list[str]:
    policy = Policy(
        preset=preset,
        allow={subject: frozenset(allow) for subject in ("shop", "shop/web")},
        bind_roots=tuple(case.get("bind_roots", ())),
        registries=tuple(case.get("registries", ())),
    )
    project, context = load(directory, {"compose.yaml": _compose(case)})
    service, _ = build_service(project, "web", context)
    stack = Stack("shop", "p", "", networks=build_networks(project, context), volumes=build_volumes(project, context))
    problems = (*check_service(service, policy), *check_resource(stack, policy))
    assert all(problem.mark is not None for problem in problems)
    return [f"{problem.code} {problem.severity} {problem.at} | {problem.message}" for problem in problems]


def _compose(case: dict[str, Any]) -> str:
    if "file" in case:
        return str(case["file"])
    document = {"services": {"web": {"image": "busybox", **case["web"]}}, "volumes": {"data": {}}}
    return yaml.safe_dump(document)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_standard_says(case: dict[str, Any], tmp_path: Path) -> None:
    assert found(case, tmp_path, Preset.STANDARD) == case["standard"]


@pytest.mark.parametrize("case", [case for case in CASES if "strict" in case], ids=lambda case: case["name"])
def test_strict_says(case: dict[str, Any], tmp_path: Path) -> None:
    assert found(case, tmp_path, Preset.STRICT) == case["strict"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_strict_refuses_whatever_standard_speaks_of(case: dict[str, Any], tmp_path: Path) -> None:
    strict = found(case, tmp_path, Preset.STRICT)
    assert all(line.split()[1] == "error" for line in strict)
    places = {(line.split()[0], line.split()[2]) for line in strict}
    assert {(line.split()[0], line.split()[2]) for line in case["standard"]} <= places


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_open_lets_everything_pass(case: dict[str, Any], tmp_path: Path) -> None:
    assert found(case, tmp_path, Preset.OPEN) == []


@pytest.mark.parametrize("case", [case for case in CASES if "allow" in case], ids=lambda case: case["name"])
def test_the_operator_can_allow_each_thing_by_name(case: dict[str, Any], tmp_path: Path) -> None:
    assert all(is_exception(name) for name in case["allow"])
    assert found(case, tmp_path, Preset.STANDARD, tuple(case["allow"])) == []
    if "strict" in case:
        assert found(case, tmp_path, Preset.STRICT, tuple(case["allow"])) == []


def test_a_refusal_says_what_the_operator_would_write(tmp_path: Path) -> None:
    project, context = load(tmp_path, {"compose.yaml": _compose({"web": {"privileged": True}})})
    service, _ = build_service(project, "web", context)
    (problem,) = check_service(service, Policy())
    assert problem.hint == "remove it, or let the operator allow it: `allow: {shop/web: [privileged]}`"


def test_another_service_s_exception_does_not_count(tmp_path: Path) -> None:
    project, context = load(tmp_path, {"compose.yaml": _compose({"web": {"privileged": True}})})
    service, _ = build_service(project, "web", context)
    assert check_service(service, Policy(allow={"shop/other": frozenset({"privileged"})}))


def test_every_exception_is_used_by_a_case() -> None:
    used = {name for case in CASES for name in case.get("allow", ())}
    assert used >= EXCEPTIONS.keys()


# --- no attribute without a class ------------------------------------------------------------------------------------


def _classified() -> dict[str, str]:
    lines = (HERE / "cases" / "policy-classes.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def _table() -> dict[str, str]:
    rows = (row for row in attributes.TABLE if row.path[0] in ("services", "networks", "volumes"))
    return {str(row): row.policy.value for row in rows}


def test_every_attribute_has_the_class_a_person_gave_it() -> None:
    """A new attribute is classified here on purpose: the table would let it pass."""
    assert _table() == _classified()


def _gated() -> list[str]:
    """What stands inside an attribute that means nothing here means nothing either."""
    classes = _classified()
    dead = tuple(f"{name}." for name, kind in classes.items() if kind in ("ignored", "unsupported"))
    return [name for name, kind in classes.items() if kind in ("gate", "refuse") and not name.startswith(dead)]


@pytest.mark.parametrize("attribute", _gated())
def test_the_policy_has_a_say_about_every_gated_attribute(attribute: str) -> None:
    spoken = {line.split()[2] for case in CASES for line in (*case["standard"], *case.get("strict", ()))}
    paths = {tuple(path.split(".")) for path in spoken} | {("services", "web", "use_api_socket")}
    wanted = [part for part in attribute.split(".") if part != "[]"]
    assert any(_covers(path, wanted) for path in paths), f"no case of policy.yaml speaks of {attribute}"


def _covers(path: tuple[str, ...], wanted: list[str]) -> bool:
    """A finding about `volumes` speaks of what stands inside an entry of it too."""
    return all(want in ("*", part) for want, part in zip(wanted, path, strict=False)) and len(path) <= len(wanted)
