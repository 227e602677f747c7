"""Which certificate does a route have? A file of the repository, and a secret of the stack for its private key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reconciler.errors import InvalidState
from reconciler.load.compose import Project
from reconciler.load.content import Reading
from reconciler.load.definition import Context, definition
from reconciler.model.traffic import Certificate

AT = ("x-route", "tls")
_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


def certificate_of(project: Project, service: str, context: Context, tls: Mapping[str, Any]) -> Certificate:
    """Return the certificate with its chain and its key. Raises InvalidState with all that is wrong about them."""
    work = Reading(definition(project, "services", service), project, context)
    chain = work.file(tls["certificate"], (*AT, "certificate"))
    key = work.secret(tls["key"], (*AT, "key"))
    if chain is not None and _CERTIFICATE not in chain:
        hint = "write it as PEM, its own certificate first, then those that vouch for it"
        work.problem("R213", f"{tls['certificate']} holds no certificate", (*AT, "certificate"), hint)
    if key is not None and _KEY not in key:
        work.problem("R213", f"the secret {tls['key']} holds no private key", (*AT, "key"), "write it as PEM")
    if work.problems or chain is None or key is None:
        raise InvalidState(work.problems)
    pem = chain.rstrip(b"\n") + b"\n" + key.rstrip(b"\n") + b"\n"
    return Certificate(sha256(pem).hexdigest()[:16], pem)
