"""What do clients of Consul's discovery API get to know, and how long do they wait for news?

The formats are those of the Consul HTTP API, version 1, as its public reference describes them: catalog, health, agent
and status endpoints. There is no key-value store, session, ACL or Connect here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from reconciler.api.consul_documents import (
    DATACENTER,
    agent,
    catalog_entry,
    check_document,
    health_entry,
    leader,
    node_of,
    node_services,
    service_of,
    services,
)
from reconciler.api.http import Answer, Request, Respond, Wrong, document, words
from reconciler.api.registering import write
from reconciler.errors import InvalidState, Unreachable
from reconciler.load.values import parse_duration
from reconciler.model.catalog import Entry, Listing, Standing, check_of
from reconciler.ports import Catalog

WAIT_SECONDS, MOST_WAIT_SECONDS = 300.0, 600.0
LOOK_SECONDS = 1.0
"""How often one who waits is looked after: have they hung up?"""
MOST_REQUESTS = 256
"""Most of them wait; each holds a thread."""

View = Callable[[Listing], Any]
"""What one request is about, as a document of a listing."""


def consul(catalog: Catalog, token: str = "") -> Respond:
    """Return who answers as Consul does. Programs may register themselves with the token, nobody may without one."""

    def respond(request: Request) -> Answer:
        try:
            if request.parts[:1] != ("v1",):
                raise _not_here(request)
            return _read(request, catalog) if request.method == "GET" else write(request, catalog, token)
        except Wrong as wrong:
            return words(wrong.status, str(wrong))
        except Unreachable as silence:
            # Consul without a leader: clients keep what they knew. An empty list would take everything from them.
            return words(HTTPStatus.INTERNAL_SERVER_ERROR, f"No cluster leader: {silence}")

    return respond


def _read(request: Request, catalog: Catalog) -> Answer:
    _refuse_what_is_not_there(request)
    view = _view(request)
    listing = _awaited(request, catalog, view)
    headers = {
        "X-Consul-Index": str(listing.index),
        "X-Consul-KnownLeader": "true",
        "X-Consul-LastContact": str(int(listing.age_seconds * 1000)),
    }
    return document(view(listing), headers=headers)


def _refuse_what_is_not_there(request: Request) -> None:
    for parameter in ("filter", "node-meta"):
        if parameter in request.query:
            raise Wrong(HTTPStatus.BAD_REQUEST, f"{parameter} is not supported here")
    if (datacenter := request.one("dc")) not in ("", DATACENTER):
        raise Wrong(HTTPStatus.INTERNAL_SERVER_ERROR, f"No path to datacenter {datacenter}")


# --- what a request is about -----------------------------------------------------------------------------------------


def _view(request: Request) -> View:
    """Return what a request is about. Raises Wrong for what is not served."""
    match request.parts[1:]:
        case (part, name) if (part, name) in _WHOLE:
            return _WHOLE[part, name]
        case ("catalog", "service", name):
            return lambda listing: [catalog_entry(one, listing) for one in _asked(listing, name, request)]
        case ("catalog", "node", node):
            return lambda listing: node_services(listing) if node == listing.node else None
        case ("health", "service", name):
            return lambda listing: [health_entry(one, listing) for one in _usable(listing, name, request)]
        case ("health", "checks", name):
            return lambda listing: [check_document(one, listing) for one in listing.named(name)]
        case ("health", "state", state):
            return _in_state(state)
        case ("health", "node", node):
            return lambda listing: [check_document(one, listing) for one in listing.entries if node == listing.node]
    raise _not_here(request)


_WHOLE: dict[tuple[str, str], View] = {
    ("catalog", "services"): services,
    ("catalog", "nodes"): lambda listing: [node_of(listing)],
    ("catalog", "datacenters"): lambda listing: [DATACENTER],
    ("agent", "self"): agent,
    ("agent", "services"): lambda listing: {one.id: service_of(one, listing) for one in listing.entries},
    ("agent", "checks"): lambda listing: {check_of(one.id): check_document(one, listing) for one in listing.entries},
    ("status", "leader"): leader,
    ("status", "peers"): lambda listing: [leader(listing)],
}


def _asked(listing: Listing, name: str, request: Request) -> Iterator[Entry]:
    wanted = {tag.lower() for tag in request.query.get("tag", ())}
    return (entry for entry in listing.named(name) if wanted <= {tag.lower() for tag in entry.tags})


def _usable(listing: Listing, name: str, request: Request) -> Iterator[Entry]:
    passing = request.flag("passing")
    return (one for one in _asked(listing, name, request) if one.standing is Standing.PASSING or not passing)


def _in_state(state: str) -> View:
    if state not in ("any", *Standing):
        raise Wrong(HTTPStatus.BAD_REQUEST, f"there is no state {state}: any, {', '.join(Standing)}")
    return lambda listing: [check_document(one, listing) for one in listing.entries if state in ("any", one.standing)]


def _not_here(request: Request) -> Wrong:
    return Wrong(HTTPStatus.NOT_FOUND, f"{request.path} is not served here")


# --- blocking queries ------------------------------------------------------------------------------------------------


def _awaited(request: Request, catalog: Catalog, view: View) -> Listing:
    """Return the listing to answer from: at once, or for a blocking query when the answer differs or the time is over."""
    listing = catalog.listing()
    index, seconds = _index(request), _wait_seconds(request)
    if index != listing.index:
        # Also an index that is ahead of ours: whoever has it heard it from somebody else, and is to begin anew.
        return listing
    before, last = view(listing), listing
    while seconds > 0 and request.connected():
        listing = catalog.wait(last.index, min(LOOK_SECONDS, seconds))
        if listing.index != last.index and view(listing) != before:
            break
        seconds, last = seconds - LOOK_SECONDS, listing
    return listing


def _index(request: Request) -> int:
    text = request.one("index") or "0"
    if not text.isdecimal():
        raise Wrong(HTTPStatus.BAD_REQUEST, "Invalid index")
    return int(text)


def _wait_seconds(request: Request) -> float:
    text = request.one("wait")
    if not text:
        return WAIT_SECONDS
    try:
        return min(MOST_WAIT_SECONDS, max(0.0, parse_duration(text) / 1e9)) or WAIT_SECONDS
    except InvalidState:
        raise Wrong(HTTPStatus.BAD_REQUEST, "Invalid wait time") from None
