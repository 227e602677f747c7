"""Whatever a repository holds, loading it gives a desired state or problems: nothing else ever comes out."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from text_repositories import loaded, told

from reconciler.errors import InvalidState
from reconciler.load.attributes import TABLE
from reconciler.load.extensions import MODELS
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
    with contextlib.suppress(InvalidState):
        loaded(texts)


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
