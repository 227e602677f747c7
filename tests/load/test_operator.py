"""The operator's file is read whole, its secrets stay out of every message, and what is said nearer wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.errors import InvalidState, Problem, UsageError
from reconciler.load.operator import read_operator
from reconciler.model.policy import Preset
from reconciler.settings import ConsulAccess, Operator, RegistryAccess, RegistryFaces, resolve, said

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "operator.yaml").read_text())


def told(problem: Problem) -> str:
    place = f"{problem.mark.line}:{problem.mark.column}" if problem.mark else "-"
    return f"{problem.code} {place} {problem.at} | {problem.message} | {problem.hint}".rstrip()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_mistake_is_told_where_it_stands(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidState) as raised:
        read_operator(case["file"].encode(), "operator.yaml")
    assert sorted(map(told, raised.value.problems)) == sorted(case["says"])
    assert "hunter2" not in f"{raised.value.problems}"


def test_an_empty_file_is_the_default() -> None:
    assert read_operator(b"", "operator.yaml") == Operator()


def test_every_key_is_read() -> None:
    operator = read_operator(
        b"""
policy: {preset: strict, bind_roots: [/srv], registries: [ghcr.io], digests: false}
allow: {edge/traefik: [engine-socket, "cap:SYS_ADMIN"], edge: [host-path]}
environment: {shop: {PASSWORD: hunter2, WORKERS: 4, RATE: 1.0, DEBUG: true, EMPTY: ""}}
credentials:
  git: {token_env: TOKEN, username: ann, ssh_key: /keys/id, known_hosts: /keys/hosts, ca_bundle: /keys/ca.pem}
  registries: {"registry.example.org:5000": {username: ann, password_file: /run/password}}
  consul: {"http://127.0.0.1:8500/": {token_file: /run/consul}}
gateway_image: haproxy:2.6
listen: 127.0.0.1:8470
registry: {http: ":8500", sd: ":8471", dns: "172.17.0.1:53", token_file: /t, node: a, address: 192.0.2.1,
  nameservers: [9.9.9.9]}
""",
        "operator.yaml",
    )
    assert operator.policy.preset is Preset.STRICT
    assert operator.policy.allow["edge/traefik"] == {"engine-socket", "cap:SYS_ADMIN"}
    assert operator.environment["shop"] == {"PASSWORD": "hunter2", "WORKERS": "4", "RATE": "1", "DEBUG": "true", "EMPTY": ""}
    assert operator.git.token_variable == "TOKEN"
    assert operator.registries == {"registry.example.org:5000": RegistryAccess("ann", Path("/run/password"))}
    assert operator.consuls == {"http://127.0.0.1:8500": ConsulAccess(Path("/run/consul"))}
    faces = RegistryFaces(":8500", ":8471", "172.17.0.1:53", Path("/t"), "a", "192.0.2.1", ("9.9.9.9",))
    assert operator.registry == faces
    assert "hunter2" not in repr(operator)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file() -> None:
    operator = read_operator(b"credentials: {git: {token_file: /file, username: file}}\nlisten: :1", "operator.yaml")
    environ = {"RECONCILER_GIT_TOKEN_FILE": "/environ", "RECONCILER_BRANCH": "environ", "HOME": "/root"}
    settings = resolve(said({"branch": "option", "path": None, "verbose": True}, environ), operator)
    assert settings.branch == "option"
    assert settings.path == ""
    assert settings.operator.git.token_file == Path("/environ")
    assert settings.operator.git.username == "file"
    assert settings.operator.listen == ":1"


def test_faces_of_the_registry_are_named_anywhere() -> None:
    operator = read_operator(b"registry: {http: ':1', sd: ':2', nameservers: [9.9.9.9]}", "operator.yaml")
    environ = {"RECONCILER_REGISTRY_SD": ":3", "RECONCILER_REGISTRY_DNS": ":4", "RECONCILER_REGISTRY_TOKEN_FILE": "/t"}
    settings = resolve(said({"registry_dns": ":5"}, environ), operator)
    assert settings.operator.registry == RegistryFaces(":1", ":3", ":5", Path("/t"), nameservers=("9.9.9.9",))
    assert settings.operator.registry.served
    assert not RegistryFaces().served


def test_an_empty_variable_says_nothing() -> None:
    assert resolve(said({}, {"RECONCILER_STATE": ""})) == resolve({})


@pytest.mark.parametrize("wrong", [{"registry_node": "a b"}, {"registry_address": "host"}])
def test_what_this_machine_is_called_is_checked_wherever_it_is_said(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        resolve(said(wrong, {}))
