"""Our x- keys are read into plain data, and what they may not say is told."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.extensions import MODELS, not_acted_on, read_extensions, read_file_settings
from reconciler.load.notes import Path
from reconciler.model.desired import Service

CASES = yaml.safe_load((pathlib.Path(__file__).parent / "cases" / "extensions.yaml").read_text())


def said(problem: Problem) -> str:
    return f"{problem.code} {problem.at} | {problem.message} | {problem.hint}".rstrip()


def service_with(**extensions: Any) -> Service:
    keys = {f"x-{name}": value for name, value in extensions.items()}
    return Service("shop", "shop", "web", "web:1", {}, extensions=read_extensions(keys, {}, ()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_mistake_is_told_where_it_stands(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidState) as raised:
        read_extensions(case["service"], {}, ())
    assert sorted(map(said, raised.value.problems)) == sorted(case["says"])


def test_values_come_out_plain_with_seconds_and_bytes() -> None:
    service = {
        "image": "web:1",
        "x-mine": {"free": "form"},
        "x-rollout": {"strategy": "canary", "canary": {"steps": [{"weight": "10", "pause": "2m"}, {"weight": 50}]}},
        "x-autoscale": {
            "mode": "hybrid",
            "min": "2",
            "max": 8,
            "metrics": {"cpu": {"source": "engine", "target": 70}},
            "vertical": {"memory": {"min": "256m", "max": "1g"}},
        },
        "x-image": {"policy": 'semver ">=1.4  <2"'},
        "x-traffic": "direct",
        "x-sync": {"wave": 2},
    }
    extensions = read_extensions(service, {}, ())
    assert "x-mine" not in extensions
    assert extensions["x-rollout"]["canary"]["steps"] == ({"weight": 10, "pause": 120.0}, {"weight": 50, "pause": 0.0})
    assert (extensions["x-autoscale"]["min"], extensions["x-autoscale"]["max"]) == (2, 8)
    assert extensions["x-autoscale"]["vertical"]["memory"] == {"min": 256 << 20, "max": 1 << 30}
    assert extensions["x-image"] == {"policy": "semver >=1.4 <2"}
    assert extensions["x-traffic"] == {"mode": "direct", "proxy_protocol": False}
    assert extensions["x-sync"]["wave"] == 2


def test_a_value_from_a_variable_is_never_shown() -> None:
    marks: dict[Path, Mark] = {("x-rollout", "strategy"): Mark("compose.yaml", 3, 4, literal=False)}
    with pytest.raises(InvalidState) as raised:
        read_extensions({"x-rollout": {"strategy": "hunter2"}}, marks, ())
    (problem,) = raised.value.problems
    assert "hunter2" not in f"{problem}"
    assert str(problem.mark) == "compose.yaml:3:4"


def test_a_compose_file_may_set_what_concerns_its_stack() -> None:
    settings = read_file_settings({"x-reconciler": {"heal": "detect", "adopt": "old", "prune_volumes": ["cache"]}}, {})
    assert (settings.heal, settings.adopt, settings.prune_volumes) == ("detect", ("old",), ("cache",))
    with pytest.raises(InvalidState) as raised:
        read_file_settings({"x-reconciler": {"needs": ["data"]}}, {})
    assert said(raised.value.problems[0]) == 'R034 x-reconciler.needs | unknown key "needs" |'


@pytest.mark.parametrize(
    ("extensions", "waiting"),
    [
        ({}, ()),
        ({"rollout": {"strategy": "recreate"}, "sync": {"wave": 3}, "traffic": "direct"}, ()),
        ({"rollout": {"strategy": "blue-green"}}, ()),
        ({"rollout": {"analysis": {}}}, ()),
        ({"rollout": {"on_failure": "pause"}}, ()),
        (
            {"rollout": {"analysis": {"metrics": {"queue": {"source": "http", "max": 3}}}}},
            ("x-rollout.analysis.metrics",),
        ),
        ({"sync": {"hooks": {"migrate": {"phase": "pre-sync", "command": "migrate"}}}}, ("x-sync.hooks",)),
        ({"traffic": {"internal": "gateway"}}, ("x-traffic.internal",)),
        ({"image": {"policy": "digest"}, "route": {"port": 80}, "discovery": {}}, ("x-image",)),
        ({"discovery": {"port": 80, "resolve": True}}, ()),
    ],
)
def test_what_is_read_but_not_acted_on_is_listed(extensions: dict[str, Any], waiting: tuple[str, ...]) -> None:
    assert not_acted_on(service_with(**extensions).extensions) == waiting


def test_every_extension_is_acted_on_or_listed() -> None:
    listed = {"x-rollout", "x-autoscale", "x-image", "x-traffic", "x-route", "x-sync"}
    acted_on = {"x-reconciler", "x-reconciler-pin", "x-discovery"}
    assert listed | acted_on == set(MODELS)
