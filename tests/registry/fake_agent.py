"""How does the agent of a real Consul answer whoever registers services with it?

It behaves as the public reference and the agent itself do where that matters to us: a check that is there keeps its
status when its service is registered again, and what is not there is told apart from what is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from reconciler.api.http import Answer, Request, document, words


@dataclass
class FakeAgent:
    """`services` and `checks` are its documents, by id; whoever has not the token is denied."""

    token: str = ""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def respond(self, request: Request) -> Answer:
        if self.token and request.headers.get("x-consul-token") != self.token:
            return words(HTTPStatus.FORBIDDEN, "Permission denied")
        match (request.method, *request.parts[2:]):
            case ("GET", "services"):
                return document(self.services)
            case ("GET", "checks"):
                return document(self.checks)
            case ("PUT", "service", "register"):
                return self._register(json.loads(request.body))
            case ("PUT", "service", "deregister", id) if id in self.services:
                del self.services[id]
                self.checks = {check: one for check, one in self.checks.items() if one["ServiceID"] != id}
                return Answer(HTTPStatus.OK, b"")
            case ("PUT", "service", "deregister", id):
                return words(HTTPStatus.NOT_FOUND, f'Unknown service ID "{id}". Ensure that the service ID is passed')
            case ("PUT", "check", "update", check) if check in self.checks:
                self.checks[check] |= json.loads(request.body)
                return Answer(HTTPStatus.OK, b"")
        return words(HTTPStatus.NOT_FOUND, f"Invalid URL path: {request.path}")

    def _register(self, asked: dict[str, Any]) -> Answer:
        check = asked.pop("Check")
        if not check.get("TTL"):
            return words(HTTPStatus.BAD_REQUEST, "Must provide TTL, or one of the other kinds of check")
        id = asked["ID"]
        weights = {"Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False, "TaggedAddresses": {}}
        self.services[id] = {**weights, **asked, "Service": asked.pop("Name"), "Datacenter": "dc1"}
        self.services[id].pop("Name", None)
        before = self.checks.get(check["CheckID"], {})
        status = before.get("Status", check.get("Status", "critical"))
        kept = {"Status": status, "Output": before.get("Output", "")}
        self.checks[check["CheckID"]] = {"CheckID": check["CheckID"], "ServiceID": id, "Type": "ttl", **kept}
        return Answer(HTTPStatus.OK, b"")
