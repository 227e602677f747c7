"""How does a program register itself, through Consul's agent API: who may, what must it say, and what is refused?"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reconciler.api.http import Answer, Request, Wrong, document
from reconciler.errors import InvalidState, Refused
from reconciler.load.values import parse_duration
from reconciler.model.catalog import NAME, Entry, Standing, check_of
from reconciler.ports import Catalog

_TOLD = {"pass": Standing.PASSING, "warn": Standing.WARNING, "fail": Standing.CRITICAL}
_OF_OTHERS = ("kind", "proxy", "connect")
"""Parts of Consul that are not here; who uses them would not get what they ask for."""
_OTHER_CHECKS = ("http", "tcp", "udp", "grpc", "args", "script", "dockercontainerid", "aliasnode", "aliasservice", "h2ping")
MOST_TAGS, MOST_META = 64, 64

Fields = Mapping[str, Any]
"""A JSON object; its keys in lower case, as Consul matches them."""


def write(request: Request, catalog: Catalog, token: str) -> Answer:
    """Do what a PUT asks. Raises Wrong for whoever may not, and for what is not to be done."""
    _permit(request, token)
    try:
        match request.parts[1:]:
            case ("agent", "service", "register"):
                _register(_fields(request), catalog)
            case ("agent", "service", "deregister", id):
                catalog.deregister(id)
            case ("agent", "check", word, check) if word in _TOLD:
                catalog.tell(_entry_of(check), _TOLD[word], request.one("note"))
            case ("agent", "check", "update", check):
                fields = _fields(request)
                catalog.tell(_entry_of(check), _standing(fields.get("status")), _text(fields, "output"))
            case _:
                raise Wrong(HTTPStatus.NOT_FOUND, f"{request.path} is not served here")
    except Refused as refusal:
        raise Wrong(HTTPStatus.NOT_FOUND, str(refusal)) from None
    return document(None)


def _permit(request: Request, token: str) -> None:
    if not token:
        raise Wrong(HTTPStatus.FORBIDDEN, "Permission denied: nobody may register, because no token is set")
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    said = request.headers.get("x-consul-token") or bearer or request.one("token")
    if not hmac.compare_digest(said.encode(), token.encode()):
        raise Wrong(HTTPStatus.FORBIDDEN, "Permission denied: this is not the token")


def _register(fields: Fields, catalog: Catalog) -> None:
    for part in _OF_OTHERS:
        if fields.get(part):
            raise _bad(f"{part} is not supported here")
    name = _named(fields.get("name"), "Name")
    id = _named(fields.get("id") or name, "ID")
    check = _check(fields, id)
    entry = Entry(
        name=name,
        id=id,
        address=_text(fields, "address"),
        port=_port(fields.get("port")),
        tags=_tags(fields.get("tags")),
        meta=_meta(fields.get("meta")),
        standing=_standing(check.get("status") or Standing.CRITICAL),
        output="nothing was heard of it yet",
    )
    catalog.register(entry, _seconds(check, "ttl"), _seconds(check, "deregistercriticalserviceafter"))


def _check(fields: Fields, id: str) -> Fields:
    """Return the one check of a registration. Without a TTL nobody would notice that the program is gone."""
    listed = fields.get("checks")
    checks = [one for one in (fields.get("check"), *(listed if isinstance(listed, list) else ())) if one]
    if len(checks) != 1 or not isinstance(checks[0], Mapping) or not checks[0].get("ttl"):
        raise _bad("a registration needs one check, and that a TTL: Check: {TTL: 15s}")
    check: Fields = checks[0]
    if others := sorted(kind for kind in _OTHER_CHECKS if check.get(kind)):
        raise _bad(f"checks by {', '.join(others)} are not made here: only a TTL")
    if (check_id := check.get("checkid") or check_of(id)) != check_of(id):
        raise _bad(f"the check is called {check_of(id)} here, not {check_id}")
    return check


def _entry_of(check: str) -> str:
    return check.removeprefix("service:")


# --- what is in a body -----------------------------------------------------------------------------------------------


def _fields(request: Request) -> Fields:
    try:
        found = _in_lower_case(json.loads(request.body))
    except (ValueError, RecursionError):
        raise _bad("the body is no JSON") from None
    if not isinstance(found, Mapping):
        raise _bad("the body is no JSON object")
    return found


def _in_lower_case(value: Any) -> Any:
    """Consul matches keys without regard to case, except those of a map of the user's own."""
    match value:
        case dict():
            return {
                key.lower(): content if key.lower() == "meta" else _in_lower_case(content) for key, content in value.items()
            }
        case list():
            return [_in_lower_case(one) for one in value]
    return value


def _named(value: object, what: str) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise _bad(f"{what} must be letters, digits and `_.-`, not {value!r}")
    return value


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key) or ""
    if not isinstance(value, str):
        raise _bad(f"{key} must be text")
    return value


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value <= 65535:
        raise _bad(f"Port must be a number from 1 to 65535, not {value!r}")
    return value


def _tags(value: object) -> tuple[str, ...]:
    found = value or []
    if not isinstance(found, list) or len(found) > MOST_TAGS or not all(isinstance(one, str) for one in found):
        raise _bad(f"Tags must be a list of at most {MOST_TAGS} texts")
    return tuple(found)


def _meta(value: object) -> dict[str, str]:
    found = value or {}
    if not isinstance(found, dict) or len(found) > MOST_META or not all(isinstance(one, str) for one in found.values()):
        raise _bad(f"Meta must be an object of at most {MOST_META} texts")
    return found


def _standing(value: object) -> Standing:
    if value not in list(Standing):
        raise _bad(f"there is no status {value!r}: {', '.join(Standing)}")
    return Standing(str(value))


def _seconds(fields: Fields, key: str) -> float:
    try:
        seconds = parse_duration(_text(fields, key) or "0s") / 1e9
    except InvalidState:
        raise _bad(f"{key} must be a duration such as 15s") from None
    if seconds < 0:
        raise _bad(f"{key} cannot be negative")
    return seconds


def _bad(message: str) -> Wrong:
    return Wrong(HTTPStatus.BAD_REQUEST, message)
