"""Does Prometheus get the targets it may scrape, in its own format?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from shelf import ask, filled, web

from reconciler.api.http import serving
from reconciler.api.http_sd import http_sd
from reconciler.drivers.catalog import MemoryCatalog
from reconciler.drivers.clock import SystemClock
from reconciler.model.catalog import Standing


@pytest.fixture(scope="module")
def catalog() -> MemoryCatalog:
    return filled(web(1), web(2, Standing.CRITICAL), web(3, name="api", address="2001:db8::1", tags=(), meta={"a-b": "c"}))


@pytest.fixture(scope="module")
def at(catalog: MemoryCatalog) -> Iterator[str]:
    with serving("127.0.0.1:0", http_sd(catalog)) as server:
        yield f"127.0.0.1:{server.server_address[1]}"


def targets(at: str, path: str) -> list[str]:
    return [target for group in ask(at, path).document for target in group["targets"]]


def test_every_entry_is_a_target_with_its_facts(at: str) -> None:
    reply = ask(at, "/")
    api, first, _ = reply.document
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert api["targets"] == ["[2001:db8::1]:8080"]
    assert api["labels"]["__meta_reconciler_meta_a_b"] == "c"
    labels = {key.removeprefix("__meta_reconciler_"): value for key, value in first["labels"].items()}
    assert {key: labels[key] for key in ("service", "container", "stack", "status", "tags", "node")} == {
        "service": "web",
        "container": "shop-web-1",
        "stack": "shop",
        "status": "passing",
        "tags": ",blue,",
        "node": "host-1",
    }


def test_the_list_can_be_narrowed(at: str) -> None:
    assert targets(at, "/?service=web") == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert targets(at, "/?service=web&passing") == ["10.0.0.1:8080"]
    assert targets(at, "/?tag=blue&passing=1") == ["10.0.0.1:8080"]
    assert ask(at, "/?service=nobody").document == []


def test_an_empty_registry_is_an_empty_list() -> None:
    with serving("127.0.0.1:0", http_sd(filled())) as server:
        reply = ask(f"127.0.0.1:{server.server_address[1]}", "/")
    assert (reply.status, reply.document) == (200, [])


def test_what_nobody_looked_at_yet_is_no_empty_list() -> None:
    with serving("127.0.0.1:0", http_sd(MemoryCatalog(SystemClock(), "host-1"))) as server:
        assert ask(f"127.0.0.1:{server.server_address[1]}", "/").status == 503


def test_it_is_only_to_be_read(at: str) -> None:
    assert ask(at, "/", "PUT").status == 405
