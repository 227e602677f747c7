"""Does an override hold the number of replicas that a person asked for, and everything else that it held before?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.errors import Conflict, InvalidState
from reconciler.load.loading import LoadSettings, load
from reconciler.load.overlay import Overlay
from reconciler.load.pin import HEADER, Pin, limits, pinned
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import Edits, Files, NewFile

REVISION = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC))
FILES = {
    "reconciler.yaml": "{api: v1, name: test, stacks: {shop: {path: shop}, data: {path: data}}}",
    "shop/compose.yaml": """\
services:
  web: {image: web:1, deploy: {replicas: 3}}
  api: {image: api:1}
  elastic:
    image: elastic:1
    deploy: {replicas: 3, resources: {reservations: {cpus: "0.5"}}}
    x-autoscale: {min: 2, max: 6, metrics: {cpu: {source: engine, target: 70}}}
""",
    "data/compose.yaml": "services: {db: {image: db:1}}",
}
WEB = Pin("shop", "web", 5, "ada", "2026-05-31", "sale on Friday")
PINNED = """\
services:
  web:
    deploy:
      replicas: 5
      x-reconciler-pin:
        by: ada
        until: "2026-05-31"
        reason: sale on Friday
"""


def read(files: Files) -> DesiredState:
    return load(files, REVISION, LoadSettings("test"))


def repository(files: Mapping[str, str] | None = None) -> MemoryFiles:
    return MemoryFiles({path: text.encode() for path, text in {**FILES, **(files or {})}.items()})


def written(edits: Edits) -> dict[str, str]:
    return {path: edit.content.decode() for path, edit in edits.items() if isinstance(edit, NewFile)}


def after(override: str, *pins: Pin) -> str:
    """Return what becomes of the shop's override, without its heading."""
    text = written(pinned(repository({"overrides/shop.yaml": override}), pins, read))["overrides/shop.yaml"]
    assert text.startswith(HEADER)
    return text.removeprefix(HEADER)


def test_the_number_is_written_into_the_override_of_the_stack() -> None:
    files = repository()
    edits = pinned(files, [WEB, replace(WEB, stack="data", service="db")], read)
    assert written(edits) == {
        "overrides/data.yaml": HEADER + PINNED.replace("web", "db"),
        "overrides/shop.yaml": HEADER + PINNED,
    }
    desired = read(Overlay(files, edits))
    assert {service.id: service.replicas for stack in desired.stacks for service in stack.services} == {
        "data/db": 5,
        "shop/api": 1,
        "shop/elastic": 3,
        "shop/web": 5,
    }


@pytest.mark.parametrize("override", ["", "# nothing\n", "services:\n", "services: {web: }\n", "services: {web: {deploy: }}\n"])
def test_what_is_empty_may_be_written_as_nothing(override: str) -> None:
    assert after(override, WEB) == PINNED


def test_services_are_written_by_name_and_what_else_is_said_stays() -> None:
    api = Pin("shop", "api", 2, "ada", "2026-05-31", "")
    override = (
        "services: {web: {deploy: {replicas: 4, resources: {limits: {memory: 64m}}}}, elastic: {deploy: {replicas: 2}}}\n"
    )
    lines = after(override, WEB, api).splitlines()
    assert [line for line in lines if line.startswith("  ") and line[2] != " "] == ["  api:", "  elastic:", "  web:"]
    assert [line.strip() for line in lines if "replicas" in line or "memory" in line] == [
        "replicas: 2",
        "replicas: 2",
        "replicas: 5",
        "memory: 64m",
    ]


def test_a_pin_may_be_changed() -> None:
    assert after(PINNED.replace("5", "4", 1), WEB) == PINNED


@pytest.mark.parametrize("replicas", [2, 6])
def test_an_autoscaler_allows_its_limits(replicas: int) -> None:
    assert f"replicas: {replicas}" in after("", replace(WEB, service="elastic", replicas=replicas))


@pytest.mark.parametrize(("service", "replicas"), [("elastic", 1), ("elastic", 7), ("gone", 1)])
def test_what_the_repository_does_not_allow_by_now_is_a_conflict(service: str, replicas: int) -> None:
    message = "allows 2 to 6 replicas by now" if service == "elastic" else "there is no shop/gone any more"
    with pytest.raises(Conflict, match=message):
        pinned(repository(), [replace(WEB, service=service, replicas=replicas)], read)


def test_limits_are_those_of_the_autoscaler() -> None:
    services = {service.name: service for service in read(repository()).stack("shop").services}
    assert (limits(services["elastic"]), limits(services["web"])) == ((2, 6), None)


@pytest.mark.parametrize(
    ("files", "message", "line"),
    [
        ({"overrides": "a file"}, "overrides is no directory", 0),
        ({"overrides/shop.yaml": "services: {}\n---\nservices: {}\n"}, "this override holds more than values", 3),
        (
            {"overrides/shop.yaml": "services:\n  web:\n    deploy: {replicas: !reset 1}\n"},
            "this override holds more than values",
            3,
        ),
    ],
)
def test_what_no_machine_should_write_into_is_refused(files: Mapping[str, str], message: str, line: int) -> None:
    with pytest.raises(InvalidState) as caught:
        pinned(repository(files), [WEB], lambda _: read(repository()))
    (problem,) = caught.value.problems
    assert (problem.code, problem.message, problem.mark.line if problem.mark else 0) == ("R106", message, line)


def test_a_pin_that_would_change_anything_else_is_refused() -> None:
    """Here another file decides: the repository says two replicas whatever the override says."""
    before = read(repository())

    def deaf(files: Files) -> DesiredState:
        return before

    with pytest.raises(InvalidState) as caught:
        pinned(repository(), [WEB], deaf)
    (problem,) = caught.value.problems
    assert (problem.code, problem.message) == ("R106", "with this pin shop/web would be another than the pin says")
    assert problem.mark is not None
    assert (problem.mark.path, problem.mark.line) == ("shop/compose.yaml", 2)
