"""Which certificate does a route have? A file of the repository, and a secret of the stack for its private key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from reconciler.errors import InvalidState, Problem
from reconciler.load.compose import Project
from reconciler.load.content import Reading
from reconciler.load.definition import Context, definition
from reconciler.load.validity import expires_at
from reconciler.model.desired import DesiredState
from reconciler.model.traffic import Certificate

AT = ("x-route", "tls")
_KEY = b"PRIVATE KEY-----"


def certificate_of(project: Project, service: str, context: Context, tls: Mapping[str, Any]) -> Certificate:
    """Return the certificate with its chain and its key. Raises InvalidState with all that is wrong about them."""
    work = Reading(definition(project, "services", service), project, context)
    chain = work.file(tls["certificate"], (*AT, "certificate"))
    key = work.secret(tls["key"], (*AT, "key"))
    expires = _expires(chain) if chain is not None else None
    if chain is not None and expires is None:
        hint = "write it as PEM, its own certificate first, then those that vouch for it"
        work.problem("R213", f"{tls['certificate']} holds no certificate that can be read", (*AT, "certificate"), hint)
    if key is not None and _KEY not in key:
        work.problem("R213", f"the secret {tls['key']} holds no private key", (*AT, "key"), "write it as PEM")
    if work.problems or chain is None or key is None:
        raise InvalidState(work.problems)
    pem = chain.rstrip(b"\n") + b"\n" + key.rstrip(b"\n") + b"\n"
    return Certificate(sha256(pem).hexdigest()[:16], pem, expires)


def _expires(chain: bytes) -> datetime | None:
    try:
        return expires_at(chain)
    except ValueError:
        return None


def expired(desired: DesiredState, now: datetime) -> Iterator[Problem]:
    """Yield the certificates that are out of date.

    Loading does not refuse them: else nothing at all could be deployed, or taken back, until somebody renewed one.
    """
    for service in (service for stack in desired.stacks for service in stack.services):
        routing = service.entrusted.routing if service.entrusted else None
        expires = routing.certificate.expires if routing and routing.certificate else None
        if expires and expires <= now:
            at = ".".join((*AT, "certificate"))
            message = f"the certificate of {service.id} expired on {expires:%Y-%m-%d}"
            yield Problem("R214", message, service.mark(at, "x-route"), at, "renew it: nobody's client takes it any more")
