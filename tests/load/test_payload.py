"""A service becomes the create payload and everything else the planner needs to know of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from building import ROOT, build, load, mistakes, write

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import InvalidState
from reconciler.load.compose import ComposeRequest, load_project
from reconciler.load.definition import Context
from reconciler.load.policy import check_service
from reconciler.load.resources import build_networks, build_volumes
from reconciler.load.service import build_service
from reconciler.model.desired import Hook, Service
from reconciler.model.history import HashKey
from reconciler.model.policy import Policy, Preset
from reconciler.model.spec import LIVE, live_document, spec_document, spec_hash

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "cases" / "payload.yaml").read_text())
GOLDEN = HERE / "golden_hashes.json"
REFERENCE = HERE.parent / "engine" / "payload"
KEY = HashKey("k1", b"a key for tests")


def compose(text: str) -> str:
    """A whole file, or one around the attributes of the service `web`."""
    if text.startswith("services:"):
        return text
    attributes = yaml.safe_load(text)
    return yaml.safe_dump({"services": {"web": {"image": "busybox", **attributes}}})


def _hook(hook: Hook) -> str:
    return f"{' '.join(hook.command)} {hook.user} {hook.privileged} {hook.working_dir} {' '.join(hook.environment)}"


def _update(service: Service) -> str:
    update = service.update
    return (
        f"{update.order} {update.parallelism} {update.delay_seconds} {update.monitor_seconds} "
        f"{update.failure_action} {update.max_failure_ratio}"
    )


def _health(service: Service) -> str:
    timing = service.health
    if timing is None:
        return "none"
    return (
        f"interval {timing.interval_seconds} timeout {timing.timeout_seconds} retries {timing.retries} "
        f"start {timing.start_period_seconds}"
    )


SHOWN: Mapping[str, Callable[[Service], Any]] = {
    "container": lambda service: service.container,
    "replicas": lambda service: service.replicas,
    "kind": lambda service: service.kind,
    "container_name": lambda service: service.container_name,
    "pull_policy": lambda service: service.pull_policy,
    "platform": lambda service: service.platform,
    "network_mode": lambda service: service.network_mode,
    "networks": lambda service: [f"{one.network} ({one.key}) aliases {','.join(one.aliases)}" for one in service.networks],
    "endpoints": lambda service: {one.network: one.endpoint for one in service.networks},
    "volumes": lambda service: list(service.volumes),
    "anonymous": lambda service: list(service.anonymous),
    "needs": lambda service: [f"{need.attribute} {need.minimum}" for need in service.needs_api],
    "depends_on": lambda service: [
        f"{need.on} {need.condition} restart={need.restart} required={need.required}" for need in service.depends_on
    ],
    "update": _update,
    "health": _health,
    "post_start": lambda service: [_hook(hook) for hook in service.post_start],
    "pre_stop": lambda service: [_hook(hook) for hook in service.pre_stop],
    "stop_grace": lambda service: service.stop_grace_seconds,
    "hidden": lambda service: sorted(service.hidden),
    "secrets": lambda service: sorted(service.secrets),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_service_becomes(case: dict[str, Any], tmp_path: Path) -> None:
    service, warnings = build(tmp_path, {"compose.yaml": compose(case["file"])}, case.get("variables"))
    assert {name: SHOWN[name](service) for name in case["gives"]} == case["gives"]
    assert warnings == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("build: .", ["R160 2:3 services.web | service web names no image"]),
        ("image: x\npull_policy: daily", ["R161 4:5 services.web.pull_policy | pull_policy daily is not supported"]),
        (
            "image: x\nhealthcheck: {start_interval: 5s}",
            ["R162 4:19 services.web.healthcheck.start_interval | healthcheck.start_interval needs healthcheck.start_period"],
        ),
        (
            "image: x\ndeploy: {restart_policy: {condition: any, max_attempts: 3}}",
            [
                "R163 4:47 services.web.deploy.restart_policy.max_attempts | "
                "an engine without Swarm counts attempts only with condition on-failure"
            ],
        ),
        (
            "image: x\nsecurity_opt: ['seccomp:./none.json', 'seccomp:bad.json']",
            [
                "R167 4:20 services.web.security_opt.0 | the seccomp profile ./none.json is not in the commit",
                "R164 4:43 services.web.security_opt.1 | the seccomp profile bad.json is no JSON: "
                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            ],
        ),
        (
            "image: x\nsecurity_opt: [seccomp, 'seccomp:', other, no-new-privileges, 'no-new-privileges:true']",
            [
                "R177 4:20 services.web.security_opt.0 | this is no security option",
                "R177 4:29 services.web.security_opt.1 | this is no security option",
                "R177 4:41 services.web.security_opt.2 | this is no security option",
            ],
        ),
        (
            "image: x\ndeploy: {mode: all, update_config: {failure_action: cry}, restart_policy: {condition: never}}",
            [
                "R175 4:14 services.web.deploy.mode | there is no such mode",
                "R175 4:41 services.web.deploy.update_config.failure_action | there is no such failure_action",
                "R175 4:80 services.web.deploy.restart_policy.condition | there is no such condition",
            ],
        ),
        (
            "image: x\npost_start: [{command: null}]\npre_stop: [{command: x}, {command: []}]",
            [
                "R174 4:18 services.web.post_start.0 | a hook needs a command",
                "R174 5:30 services.web.pre_stop.1 | a hook needs a command",
            ],
        ),
        (
            "image: x\nblkio_config: {weight_device: [{path: /dev/x}], device_read_bps: [{rate: 5}]}",
            [
                "R176 4:36 services.web.blkio_config.weight_device.0 | an entry of weight_device needs a weight",
                "R176 4:71 services.web.blkio_config.device_read_bps.0 | an entry of device_read_bps needs a path",
            ],
        ),
        (
            "image: x\nvolumes: ['./f:rel', '/opt:/', {type: npipe, source: a, target: /x}]",
            [
                "R169 4:15 services.web.volumes.0.target | a mount needs an absolute target below the root",
                "R169 4:26 services.web.volumes.1.target | a mount needs an absolute target below the root",
                "R181 4:37 services.web.volumes.2.type | the mount type npipe is not implemented",
            ],
        ),
        (
            "image: x\nuse_api_socket: true",
            ["R096 4:5 services.web.use_api_socket | use_api_socket hands the engine over without saying so"],
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(text: str, says: list[str], tmp_path: Path) -> None:
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    files = {"compose.yaml": f"services:\n  web:\n{indented}\n", "bad.json": "{no"}
    assert mistakes(tmp_path, files) == says


def test_every_value_knows_where_it_stands(tmp_path: Path) -> None:
    text = """\
services:
  web:
    image: busybox
    environment:
      LEVEL: info
    ports:
      - "8080:80"
    deploy: {resources: {limits: {memory: 64M}}}
"""
    service, _ = build(tmp_path, {"compose.yaml": text, ".env": ""})
    places = {path: f"{mark.line}:{mark.column}" for path, mark in service.sources.items()}
    wanted = {
        "": "2:3",
        "image": "3:5",
        "environment.LEVEL": "5:7",
        "ports": "6:5",
        "ports.0": "7:9",
        "deploy.resources.limits.memory": "8:35",
    }
    assert {path: places[path] for path in wanted} == wanted


def test_an_external_network_or_volume_has_no_definition(tmp_path: Path) -> None:
    text = """\
services: {web: {image: busybox, networks: [outer], volumes: ["data:/data"]}}
networks: {outer: {external: true, name: theirs}}
volumes: {data: {external: true}}
"""
    project, context = load(tmp_path, {"compose.yaml": text})
    (network,) = build_networks(project, context)
    (volume,) = build_volumes(project, context)
    assert (network.name, network.external, network.payload) == ("theirs", True, {})
    assert (volume.name, volume.external, volume.payload) == ("data", True, {})


def test_a_network_without_ipv4_needs_a_newer_engine(tmp_path: Path) -> None:
    text = "services: {web: {image: busybox}}\nnetworks: {default: {enable_ipv4: false, enable_ipv6: true}}\n"
    project, context = load(tmp_path, {"compose.yaml": text})
    (network,) = build_networks(project, context)
    assert network.payload == {"EnableIPv4": False, "EnableIPv6": True}
    assert [(need.attribute, need.minimum) for need in network.needs_api] == [("enable_ipv4", "1.48")]


def test_a_volume_on_a_directory_of_the_repository_stands_below_the_host_root(tmp_path: Path) -> None:
    text = """\
services: {web: {image: busybox, volumes: ["data:/data"]}}
volumes: {data: {driver: local, driver_opts: {type: none, o: bind, device: ./data}}}
"""
    project, context = load(tmp_path, {"compose.yaml": text}, host_root="/srv/repo")
    (volume,) = build_volumes(project, context)
    assert volume.payload["DriverOpts"] == {"type": "none", "o": "bind", "device": "/srv/repo/data"}


# --- the spec --------------------------------------------------------------------------------------------------------


def _reference_services() -> dict[str, Service]:
    """The services that the engine tests make, without an engine."""
    files = DirectoryFiles(REFERENCE)
    project = load_project(files, ComposeRequest(root=ROOT, name="p", environment={"PAYLOAD_TOKEN": "t0ken"}))
    context = Context("shop", files, ROOT)
    return {name: build_service(project, name, context)[0] for name in json.loads(GOLDEN.read_text())}


def test_a_spec_keeps_its_hash_from_release_to_release() -> None:
    """A changed hash would make every container of every user be looked at again: it needs a reason and a new version."""
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) >= 20
    assert {name: spec_hash(service, KEY) for name, service in _reference_services().items()} == golden


def test_another_key_makes_another_hash(tmp_path: Path) -> None:
    service, _ = build(tmp_path, {"compose.yaml": compose("{}")})
    first, second = spec_hash(service, KEY), spec_hash(service, HashKey("k2", b"another"))
    assert first.startswith("v1:k1:")
    assert second.startswith("v1:k2:")
    assert first.rpartition(":")[2] != second.rpartition(":")[2]
    assert len(first.rpartition(":")[2]) == 32


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mem_limit: 64m", "mem_limit: 128m"),
        ("restart: always", "restart: 'no'"),
        ("{}", "deploy: {replicas: 3}"),
        ("{}", "container_name: one"),
        ("{}", "pull_policy: always"),
        ("{}", "post_start: [{command: x}]"),
        ("{}", "deploy: {update_config: {parallelism: 2}}"),
        ("{}", "networks: {default: {aliases: [x]}}"),
        ("cap_add: [A, B]", "cap_add: [B, A]"),
        ("ports: ['8080:80', '9090:80']", "ports: ['9090:80', '8080:80']"),
        ("environment: {A: x, B: y}", "environment: [B=y, A=x]"),
        ("extra_hosts: [a=1.1.1.1, b=2.2.2.2]", "extra_hosts: [b=2.2.2.2, a=1.1.1.1]"),
        ("{}", "labels: {}"),
    ],
)
def test_what_needs_no_new_container_leaves_the_hash(before: str, after: str, tmp_path: Path) -> None:
    assert _hash(tmp_path / "before", before) == _hash(tmp_path / "after", after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", "image: other"),
        ("{}", "command: []"),
        ("environment: {A: x}", "environment: {A: y}"),
        ("dns: [1.1.1.1, 2.2.2.2]", "dns: [2.2.2.2, 1.1.1.1]"),
        ("{}", "network_mode: host"),
        ("{}", "volumes: [/data]"),
        ("{}", "platform: linux/arm64"),
        ("{}", "stop_grace_period: 1s"),
        ("{}", "init: false"),
    ],
)
def test_what_needs_a_new_container_changes_the_hash(before: str, after: str, tmp_path: Path) -> None:
    assert _hash(tmp_path / "before", before) != _hash(tmp_path / "after", after)


def _hash(directory: Path, text: str) -> str:
    return spec_hash(build(directory, {"compose.yaml": compose(text)})[0], KEY)


def test_changed_content_changes_the_hash(tmp_path: Path) -> None:
    text = compose("volumes: ['./app.conf:/etc/app.conf:ro', './conf.d:/etc/conf.d:ro']")
    files = {"compose.yaml": text, "app.conf": "a", "conf.d/x": "b"}
    hashes = {
        spec_hash(build(tmp_path / str(number), {**files, **change})[0], KEY)
        for number, change in enumerate(({}, {"app.conf": "c"}, {"conf.d/x": "c"}, {"conf.d/y": "b"}))
    }
    assert len(hashes) == 4


def test_live_fields_stand_in_one_document_only(tmp_path: Path) -> None:
    text = compose("{mem_limit: 64m, cpus: 0.5, restart: always, pids_limit: 9, cpu_shares: 5, cpuset: '0', read_only: true}")
    service, _ = build(tmp_path, {"compose.yaml": text})
    live = live_document(service)
    assert live.keys() <= LIVE
    assert live == {
        "CpuShares": 5,
        "CpusetCpus": "0",
        "Memory": 67108864,
        "NanoCpus": 500000000,
        "PidsLimit": 9,
        "RestartPolicy": {"Name": "always"},
    }
    assert not live.keys() & spec_document(service)["container"]["HostConfig"].keys()


def test_a_field_with_its_default_says_nothing(tmp_path: Path) -> None:
    service, _ = build(tmp_path, {"compose.yaml": compose("tty: true")})
    padded = {**service.container, "Hostname": "", "Labels": {}, "HostConfig": {"Sysctls": {}, "Runtime": None}}
    assert spec_document(replace(service, container=padded)) == spec_document(service)


# --- whatever Compose accepts ----------------------------------------------------------------------------------------


def _accepted() -> list[dict[str, Any]]:
    cases = json.loads((HERE / "conformance" / "cases.json").read_text())
    return [case for case in cases if "ok" in case["expect"]]


@pytest.mark.parametrize("case", _accepted(), ids=lambda case: case["table"])
def test_whatever_compose_accepts_is_built_or_refused_in_words(case: dict[str, Any], tmp_path: Path) -> None:
    files = write(tmp_path, {**case.get("files", {}), "compose.yaml": case["doc"], "o.yaml": case.get("override", "")})
    names = ("compose.yaml", "o.yaml") if case.get("override") else ("compose.yaml",)
    request = ComposeRequest(root=ROOT, files=names, name="p", environment=case.get("env") or {}, home="/root")
    project, context = load_project(files, request), Context("shop", files, ROOT, host_root="/srv")
    for name in project.document["services"]:
        with suppress(InvalidState):
            service, _ = build_service(project, name, context)
            assert json.loads(json.dumps(spec_document(service))) == spec_document(service)
            assert all(problem.mark for problem in check_service(service, Policy(Preset.STRICT)))
    build_networks(project, context)
    build_volumes(project, context)
