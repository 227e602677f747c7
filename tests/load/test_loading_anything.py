"""Whatever a repository holds, loading it gives a desired state or problems: nothing else ever comes out."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_repositories import loaded, told

from reconciler.errors import InvalidState
from reconciler.load.attributes import TABLE
from reconciler.load.excerpt import render_problem
from reconciler.load.extensions import MODELS
from reconciler.load.mounts import Mount, parse_mount
from reconciler.load.ports import Port, parse_ports
from reconciler.load.schemas import keys

EXAMPLES = int(os.environ.get("RECONCILER_FUZZ_EXAMPLES", "60"))

_OURS = {key for model in MODELS.values() for key, _ in keys(model)} | set(MODELS)
_COMPOSE = {part for attribute in TABLE for part in attribute.path if part not in ("*", "[]")}
WORDS = sorted(_OURS | _COMPOSE)
TEXTS = ["", "web", "web:1", "80:80", "./data:/data", "/:/host", "${A}", "${A:-b}", "1g", "10s", "-1", "*", "service:web"]

scalars = st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=8)
names = st.sampled_from([*WORDS, "web", "api", "data"]) | st.text(max_size=4)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=20
)
services = st.dictionaries(st.sampled_from(["web", "api", "db"]), st.dictionaries(names, documents, max_size=5), max_size=3)
with_image = services.map(lambda found: {name: {"image": "web:1", **service} for name, service in found.items()})


def _loads_or_is_refused(texts: dict[str, str]) -> None:
    """Nothing but problems may be raised, at least one, and each must be fit to be shown to a person."""
    try:
        problems = loaded(texts).warnings
    except InvalidState as refused:
        problems = refused.problems
        assert problems
    for problem in problems:
        assert re.fullmatch(r"R\d{3}", problem.code)
        assert all(line.replace("\t", "").isprintable() for line in render_problem(problem).split("\n"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(with_image, st.dictionaries(st.sampled_from(["networks", "volumes", "secrets", "configs", "x-reconciler"]), documents))
def test_any_compose_file(services: dict[str, Any], rest: dict[str, Any]) -> None:
    _loads_or_is_refused({"compose.yaml": json.dumps({"services": services, **rest})})


attributes = st.sampled_from([attribute for attribute in TABLE if attribute.path[:2] == ("services", "*")])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(attributes, documents), min_size=1, max_size=4))
def test_any_value_of_any_attribute(values: list[tuple[Any, Any]]) -> None:
    service: dict[str, Any] = {"image": "web:1"}
    for attribute, value in values:
        _put(service, attribute.path[2:], value)
    _loads_or_is_refused({"compose.yaml": json.dumps({"name": "shop", "services": {"web": service}})})


def _put(holder: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value deep inside, as lists and mappings the path asks for."""
    for part in reversed(path[1:]):
        value = [value] if part == "[]" else {"web" if part == "*" else part: value}
    if path:
        holder[path[0]] = value


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(with_image, documents)
def test_any_override(services: dict[str, Any], override: Any) -> None:
    base = "api: v1\nname: production\nstacks: {shop: {path: shop}}\n"
    files = {"reconciler.yaml": base, "shop/compose.yaml": "services: {web: {image: web:1}}"}
    _loads_or_is_refused({**files, "overrides/shop.yaml": json.dumps({"services": services})})
    _loads_or_is_refused({**files, "overrides/shop.yaml": json.dumps(override)})


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["shop", "data", "web"]), st.dictionaries(names, documents, max_size=4)), documents)
def test_any_environment_file(stacks: dict[str, Any], prune: Any) -> None:
    entries = {name: {"path": "shop", **entry} for name, entry in stacks.items()}
    environment = {"api": "v1", "name": "production", "stacks": entries, "prune": prune}
    _loads_or_is_refused({"reconciler.yaml": json.dumps(environment), "shop/compose.yaml": "services: {web: {image: web:1}}"})


def chain(entry: str) -> dict[str, str]:
    """Return a project of services that each name the next."""
    services = "".join(f"  s{number:04}: {{{entry.format(f's{number + 1:04}')}}}\n" for number in range(1200))
    return {"compose.yaml": f"name: shop\nservices:\n{services}  s1200: {{image: 'web:1'}}\n"}


def test_a_long_chain_of_dependencies_is_no_deep_recursion() -> None:
    assert len(loaded(chain("image: 'web:1', depends_on: [{}]")).stacks[0].services) == 1201


def test_a_long_chain_of_shared_namespaces_is_no_deep_recursion() -> None:
    assert len(loaded(chain("image: 'web:1', network_mode: 'service:{}'")).stacks[0].services) == 1201


def test_a_long_chain_of_extensions_is_refused() -> None:
    assert "R011" in {line.partition(" ")[0] for line in told(chain("extends: {}"))}


# --- entries in short forms ------------------------------------------------------------------------------------------

PIECES = {
    "image": ["web", "Web", ":", "@", "/", "//", "sha256:", "a" * 64, "registry.example", ":5000", "1.2", "..", "_", "-", "é"],
    "ports": ["80", "0", "65535", "65536", "1" * 5000, "٣", "-", ":", "/", "tcp", "udp", "127.0.0.1", "[::1]", "::1", "%eth0"],
    "volumes": ["data", "./data", "../up", "/", "//", ":", "::", "C:", "\\", "~", "ro", "z", ",", "rshared", "$$", "..", " "],
    "devices": ["/dev/null", "/dev", ":", "rwm", "r", "x", "vendor.example/class=one", "=", "..", "/"],
    "extra_hosts": ["host", "=", ":", "10.0.0.1", "[::1]", "::1", "host-gateway", "-", " "],
    "env_file": ["web.env", "./", "../", "/", "~", ":", "\\", "-", " "],
    "tmpfs": ["/run", "run", ":", "size=", "64m", "mode=", "1777", ",", "noexec", "=", "-1"],
    "mem_limit": ["1", "64", ".5", "-", "+", "e9", "k", "MiB", "gb", " ", "0x", "1" * 5000],
    "stop_grace_period": ["1", "10", ".5", "-", "+", "h", "m", "s", "ms", "µs", "ns", " ", "1" * 5000],
}
ONE = ("image", "mem_limit", "stop_grace_period")
"""What is one text; the others are lists of them."""


@pytest.mark.parametrize("attribute", PIECES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_short_form_of(attribute: str, data: st.DataObject) -> None:
    pieces = st.lists(st.sampled_from(PIECES[attribute]), max_size=6).map("".join)
    text = data.draw(pieces | st.text(max_size=12))
    service = {"image": "web:1", attribute: text if attribute in ONE else [text]}
    _loads_or_is_refused({"compose.yaml": json.dumps({"name": "shop", "services": {"web": service}})})


@pytest.mark.parametrize("device", [":/dev/x", ":vendor.example/class=one"])
def test_a_device_without_a_source_is_refused(device: str) -> None:
    service = {"image": "web:1", "devices": [device]}
    (problem,) = told({"compose.yaml": json.dumps({"name": "shop", "services": {"web": service}})})
    assert problem.startswith("R035 compose.yaml:1:")
    assert problem.endswith("an entry of devices needs a source")


protocols = st.sampled_from(["", "tcp", "udp", "sctp"])
addresses = st.sampled_from(["", "127.0.0.1", "0.0.0.0", "::1"])


@settings(max_examples=EXAMPLES)
@given(st.integers(1, 65_000), st.integers(1, 65_000), st.integers(1, 30), addresses, protocols)
def test_a_range_opens_as_many_ports_each_on_its_own(target: int, host: int, count: int, address: str, protocol: str) -> None:
    front = {"": "", "::1": "[::1]:"}.get(address, f"{address}:")
    ranges = (f"{first}-{first + count - 1}" if count > 1 else f"{first}" for first in (host, target))
    opened = parse_ports(front + ":".join(ranges) + (f"/{protocol}" if protocol else ""))
    wanted = {Port(target + at, str(host + at), address, protocol or "tcp") for at in range(count)}
    assert (len(opened), set(opened)) == (count, wanted)


words = st.text(alphabet="abcxyz0189_.-", min_size=2, max_size=12)


@settings(max_examples=EXAMPLES)
@given(words | words.map("/".__add__), words.map("/".__add__), st.lists(st.sampled_from(["ro", "z", "nocopy", "rshared"])))
def test_a_mount_is_read_as_its_parts(source: str, target: str, options: list[str]) -> None:
    written = ":".join([source, target, *([",".join(options)] if options else [])])
    assert parse_mount(written) == Mount(source, target, tuple(options))
    assert parse_mount(target) == Mount("", target)
