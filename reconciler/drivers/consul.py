"""What does a Consul say of us, and how is it told? Through the agent API, version 1, of its public reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

from reconciler.errors import Refused, Unreachable
from reconciler.model import catalog
from reconciler.model.catalog import Entry, Standing, check_of
from reconciler.ports import Clock

PATIENCE_SECONDS = 3.0
MOST_BYTES = 64 * 1024 * 1024
SILENCE_SECONDS = 30.0
"""After so long without an answer it is asked again: nothing else is to wait for it in every turn."""
TTL = "87600h"
"""Consul has no check that is only told but one with a TTL. No absence of ours outlasts this one: that a reconciler is away
does not mean that nobody serves. Whether the machine lives Consul knows by itself."""


@dataclass(slots=True)
class ConsulRegistry:
    """The agent at a URL; `address` is what entries at this machine's own address carry there."""

    url: str
    clock: Clock
    address: str = "127.0.0.1"
    token: str = field(default="", repr=False)
    _silent_until: float = float("-inf")

    def entries(self, environment: str) -> tuple[Entry, ...]:
        """Return the entries of an environment of ours; nobody else's."""
        services, checks = self._ask("GET", "/v1/agent/services"), self._ask("GET", "/v1/agent/checks")
        ours = (one for one in services.values() if (one.get("Meta") or {}).get(catalog.ENVIRONMENT) == environment)
        return tuple(_entry(one, checks.get(check_of(str(one.get("ID")))) or {}) for one in ours)

    def register(self, entry: Entry) -> None:
        """Have the entry there, as it is now."""
        check = {"CheckID": check_of(entry.id), "TTL": TTL, "Status": entry.standing.value}
        body = {
            "ID": entry.id,
            "Name": entry.name,
            "Address": entry.address,
            "Port": entry.port,
            "Tags": list(entry.tags),
            "Meta": dict(entry.meta),
            "Check": check,
        }
        self._ask("PUT", "/v1/agent/service/register", body)
        # A check that is there already keeps the status it had, whatever the registration says.
        told = {"Status": entry.standing.value, "Output": entry.output}
        self._ask("PUT", f"/v1/agent/check/update/{quote(check_of(entry.id), safe=':')}", told)

    def deregister(self, id: str) -> None:
        """Have the entry gone; also when it is gone already."""
        self._ask("PUT", f"/v1/agent/service/deregister/{quote(id, safe='')}", missing=True)

    # --- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: bool = False) -> dict[str, Any]:
        """Return the JSON of the answer; `missing`: that there is no such thing is an answer, too."""
        if self.clock.monotonic() < self._silent_until:
            raise Unreachable(f"the registry {self.url} did not answer lately")
        try:
            status, text = self._answer(method, path, json.dumps(body).encode() if body is not None else None)
            known = json.loads(text) if status == 200 and text.strip() else {}
        except (OSError, HTTPException, ValueError) as error:
            self._silent_until = self.clock.monotonic() + SILENCE_SECONDS
            raise Unreachable(f"the registry {self.url} does not answer: {error or type(error).__name__}") from error
        if status == 404 and missing:
            return {}
        if status >= 500:
            raise Unreachable(f"the registry {self.url} answers {status}: {_words(text)}")
        if status != 200:
            hint = "see `credentials.consul` of the operator's file" if status in (401, 403) else ""
            raise Refused(f"the registry {self.url} refuses {path}: {status} {_words(text)}", hint=hint)
        return known if isinstance(known, dict) else {}

    def _answer(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE_SECONDS)
        headers = {"X-Consul-Token": self.token} if self.token else {}
        try:
            connection.request(method, f"{parts.path.rstrip('/')}{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES)
        finally:
            connection.close()


def _words(text: bytes) -> str:
    """The first line of what it says, at most."""
    return text.decode("utf-8", "replace").strip().partition("\n")[0][:200]


def _entry(service: Mapping[str, Any], check: Mapping[str, Any]) -> Entry:
    meta = {str(key): str(value) for key, value in (service.get("Meta") or {}).items()}
    status = check.get("Status")
    return Entry(
        name=str(service.get("Service") or ""),
        id=str(service.get("ID") or ""),
        address=str(service.get("Address") or ""),
        port=int(service.get("Port") or 0),
        tags=tuple(service.get("Tags") or ()),
        meta=meta,
        standing=Standing(status) if status in list(Standing) else Standing.CRITICAL,
        output=str(check.get("Output") or ""),
        title=meta.get(catalog.CONTAINER, ""),
        service=f"{meta.get(catalog.STACK, '')}/{meta.get(catalog.SERVICE, '')}",
    )
