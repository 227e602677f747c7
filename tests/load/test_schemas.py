"""The published schemas say what the models say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.cli import schema as verb
from reconciler.errors import InvalidState
from reconciler.load.environment import read_environment
from reconciler.load.extensions import read_extensions
from reconciler.load.operator import read_operator
from reconciler.load.schemas import schemas

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"

# Mistakes that no schema can say: relations between values, and what a pattern would have to calculate.
BEYOND_A_SCHEMA = {
    "names that could not stand in labels and file names",
    "a path that leaves the repository",
    "windows that never open",
    "a swarm",
    "a stack that is not there",
    "stacks that wait for each other",
    "a file that is empty",
    "an autoscaler without bounds, metrics or ranges",
    "a vertical autoscaler without ranges",
    "bounds the wrong way round",
    "bounds of the whole the wrong way round",
    "canary steps that do not increase",
    "a canary without steps",
    "a canary with no step at all",
    "an image policy that is no range",
    "routes with impossible shapes",
    "secrets said to be in two places, or in none",
    "paths and addresses of the wrong shape",
    "an exception that nobody knows",
    "a variable without a value",
    "a Consul without an address",
    "a registry whose address holds a user",
    "faces and registries of the wrong shape",
}


def cases(name: str) -> list[Any]:
    loaded: list[Any] = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    return [case for case in loaded if case["name"] not in BEYOND_A_SCHEMA]


def errors(name: str, document: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(schemas()[name])
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", verb.FILES)
def test_the_files_are_fresh(name: str) -> None:
    written = (ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    assert written == verb.texts()[name], "run: python -m reconciler schema --write schemas"


@pytest.mark.parametrize("name", verb.FILES)
def test_each_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(verb.texts()[name]))


@pytest.mark.parametrize("case", cases("environment"), ids=lambda case: case["name"])
def test_a_wrong_environment_is_wrong_by_the_schema_too(case: dict[str, Any]) -> None:
    assert errors("environment", yaml.safe_load(case["file"]))


@pytest.mark.parametrize("case", cases("operator"), ids=lambda case: case["name"])
def test_a_wrong_operator_file_is_wrong_by_the_schema_too(case: dict[str, Any]) -> None:
    assert errors("operator", yaml.safe_load(case["file"]))


@pytest.mark.parametrize("case", cases("extensions"), ids=lambda case: case["name"])
def test_a_wrong_extension_is_wrong_by_the_schema_too(case: dict[str, Any]) -> None:
    assert errors("extensions", {"services": {"web": case["service"]}})


ENVIRONMENTS = [
    "{api: v1, name: production, stacks: auto}",
    "{api: v1, name: production, interval: 1m30s, stacks: {shop: {path: a, needs: data, adopt: [old]}, data: {path: b}}}",
    "{api: v1, name: production, stacks: auto, prune: {max_delete: 30%}, alerts: {a: {when: failed, for: 5m, webhook: u}}}",
    "{api: v1, name: production, stacks: auto, prune: {max_delete: 7}, write_back: {min_change: 2.5%}}",
    "{api: v1, name: x, stacks: {s: {path: a, environment: {A: 1, B: true, C: null, D: text}, prune_volumes: true}}}",
]


@pytest.mark.parametrize("text", ENVIRONMENTS)
def test_a_good_environment_is_good_by_both(text: str) -> None:
    read_environment(text.encode())
    assert errors("environment", yaml.safe_load(text)) == []


OPERATORS = [
    "policy: strict",
    "{policy: {preset: strict, bind_roots: [/srv]}, allow: {edge/traefik: [engine-socket]}, listen: ':8470'}",
    "credentials: {git: {token_env: TOKEN}, registries: {ghcr.io: {username: ann, password_env: PASSWORD}}}",
]


@pytest.mark.parametrize("text", OPERATORS)
def test_a_good_operator_file_is_good_by_both(text: str) -> None:
    read_operator(text.encode(), "operator.yaml")
    assert errors("operator", yaml.safe_load(text)) == []


EXTENSIONS = [
    "{x-traffic: gateway}",
    "{x-traffic: {internal: gateway}}",
    '{x-image: {policy: semver ">=1.4 <2"}}',
    "{x-sync: {wave: -1, hooks: {migrate: {phase: pre-sync, command: [./migrate, up]}}}}",
    "{x-rollout: {strategy: canary, canary: {steps: [{weight: 10, pause: 2m}, {weight: 50}]}, analysis: {}}}",
    "{x-autoscale: {min: 0, max: 9, metrics: {rps: {source: gateway, target: 200, activation: 5}}}}",
    "{deploy: {replicas: 4, x-reconciler-pin: {by: ann, until: '2027-01-31', reason: fair}}}",
]


@pytest.mark.parametrize("text", EXTENSIONS)
def test_a_good_extension_is_good_by_both(text: str) -> None:
    service = yaml.safe_load(text)
    read_extensions(service, {}, ())
    assert errors("extensions", {"services": {"web": service}}) == []


def test_an_editor_lets_variables_stand_where_values_will() -> None:
    service = {"x-autoscale": {"min": "${MIN:-1}", "max": "$MAX", "metrics": {"cpu": {"source": "${S}", "target": "${T}"}}}}
    assert errors("extensions", {"services": {"web": service}}) == []
    with pytest.raises(InvalidState):
        read_extensions(service, {}, ())


def test_the_verb_prints_one_or_writes_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    assert verb.run(parser.parse_args(["operator"])) == 0
    assert capsys.readouterr().out == (ROOT / "schemas" / "operator.json").read_text(encoding="utf-8")
    assert verb.run(parser.parse_args(["--write", str(tmp_path)])) == 0
    assert sorted(path.stem for path in tmp_path.iterdir()) == list(verb.FILES)
