"""Which targets does Prometheus get to know? Its HTTP service discovery, as its documentation describes the format."""

from __future__ import annotations

import re
from http import HTTPStatus

from reconciler.api.http import Answer, Request, Respond, document, words
from reconciler.errors import Unreachable
from reconciler.model import catalog as facts
from reconciler.model.catalog import Entry, Listing, Standing
from reconciler.ports import Catalog

PREFIX = "__meta_reconciler_"
_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def http_sd(catalog: Catalog) -> Respond:
    """Return who answers Prometheus. `?service=NAME` and `?tag=TAG` narrow the list, `?passing` leaves out who cannot serve."""

    def respond(request: Request) -> Answer:
        if request.method != "GET":
            return words(HTTPStatus.METHOD_NOT_ALLOWED, "only to be read")
        try:
            listing = catalog.listing()
        except Unreachable as silence:
            # Anything but 200 lets Prometheus keep the targets it has.
            return words(HTTPStatus.SERVICE_UNAVAILABLE, str(silence))
        return document([_group(entry, listing) for entry in listing.entries if _is_asked_for(entry, request)])

    return respond


def _is_asked_for(entry: Entry, request: Request) -> bool:
    names, tags = request.query.get("service", []), set(request.query.get("tag", []))
    fit = entry.standing is Standing.PASSING or not request.flag("passing")
    return fit and tags <= set(entry.tags) and (not names or entry.name in {name.lower() for name in names})


def _group(entry: Entry, listing: Listing) -> dict[str, object]:
    host = f"[{entry.address}]" if ":" in entry.address else entry.address
    known = {
        "service": entry.name,
        "id": entry.id,
        "node": listing.node,
        "status": entry.standing.value,
        "tags": f",{','.join(entry.tags)}," if entry.tags else "",
        "environment": entry.meta.get(facts.ENVIRONMENT, ""),
        "stack": entry.meta.get(facts.STACK, ""),
        "container": entry.meta.get(facts.CONTAINER, ""),
    }
    labels = {f"{PREFIX}{name}": value for name, value in known.items()}
    labels |= {f"{PREFIX}meta_{_NOT_IN_A_LABEL.sub('_', key)}": value for key, value in sorted(entry.meta.items())}
    return {"targets": [f"{host}:{entry.port}"], "labels": labels}
