"""What stands in a registry that nobody's containers are behind, and who asks it?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from reconciler.api.http import listen_address
from reconciler.drivers.catalog import MemoryCatalog
from reconciler.drivers.clock import SystemClock
from reconciler.model import catalog as facts
from reconciler.model.catalog import Entry, Standing

NODE, ADDRESS, TOKEN = "host-1", "192.0.2.10", "a token for tests"


def web(number: int, standing: Standing = Standing.PASSING, **said: Any) -> Entry:
    """The entry of container `shop-web-<number>`."""
    meta = {facts.ENVIRONMENT: "test", facts.STACK: "shop", facts.SERVICE: "web", facts.CONTAINER: f"shop-web-{number}"}
    defaults: dict[str, Any] = {
        "address": f"10.0.0.{number}",
        "port": 8080,
        "tags": ("blue",),
        "meta": meta,
        "instance": f"{number:012x}".ljust(64, "0"),
        "title": f"shop-web-{number}",
        "service": "shop/web",
    }
    return Entry(id=f"web-{number}", standing=standing, output="serves", **{"name": "web", **defaults, **said})


def filled(*entries: Entry) -> MemoryCatalog:
    """A catalogue on the machine's clock that was told of these entries."""
    clock = SystemClock()
    catalog = MemoryCatalog(clock, NODE, ADDRESS)
    catalog.publish(entries, clock.monotonic())
    return catalog


def publish(catalog: MemoryCatalog, *entries: Entry) -> None:
    catalog.publish(entries, SystemClock().monotonic())


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def index(self) -> int:
        return int(self.headers["X-Consul-Index"])


def ask(address: str, path: str, method: str = "GET", body: Any = None, token: str = "") -> Reply:
    """Ask over HTTP."""
    connection = HTTPConnection(*listen_address(address), timeout=30)
    try:
        headers = {"X-Consul-Token": token} if token else {}
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()
