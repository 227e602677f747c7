"""Who may change an environment on this engine?

A lease is an empty volume named `reconciler-lease-ENVIRONMENT.N` whose labels say who holds it until when; the highest
N is in force. The engine creates a volume of a name once, and whoever comes second is shown the first one's labels: to
create N + 1 is therefore a compare-and-swap. The highest is never removed, only followed by a higher one, so a slow
claimant who creates an N that was already left behind always sees a higher one beside it. Giving the lease back means
to be followed by one that nobody holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.drivers.docker.connection import Connection, path_of
from reconciler.drivers.docker.errors import Rejected
from reconciler.errors import Conflict
from reconciler.model import labels
from reconciler.model.holder import container_of, heir
from reconciler.model.plan import HandOver
from reconciler.ports import Lease

NOBODY = ""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def claim(connection: Connection, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
    """Take or renew the lease if it may be taken; return the one in force. Renews when half of the time is over."""
    known = _leases(connection, environment)
    force = max(known, key=_generation, default=None)
    if force and not _may_take(connection, force, holder, now, ttl_seconds):
        return force
    wanted = Lease(holder, now + timedelta(seconds=ttl_seconds), force.generation + 1 if force else 1)
    _create(connection, environment, wanted)
    settled = _settled(connection, environment, wanted)
    before = force.holder if force and settled.holder == holder != force.holder else NOBODY
    return replace(settled, before=before)


def release(connection: Connection, environment: str, holder: str) -> None:
    """Follow our lease by one that nobody holds; do nothing if it is not ours."""
    force = max(_leases(connection, environment), key=_generation, default=None)
    if force and force.holder == holder:
        free = Lease(NOBODY, LONG_AGO, force.generation + 1)
        _create(connection, environment, free)
        _settled(connection, environment, free)


def pass_on(connection: Connection, change: HandOver) -> None:
    """Follow the holder's lease by one for its successor. Raises Conflict when it is not the holder's."""
    force = max(_leases(connection, change.environment), key=_generation, default=None)
    if force is None or force.holder != change.holder:
        raise Conflict(f"{force.holder if force else 'nobody'} holds the lease by now")
    passed = Lease(heir(change.target.id), change.until, force.generation + 1)
    _create(connection, change.environment, passed)
    _settled(connection, change.environment, passed)


def _may_take(connection: Connection, force: Lease, holder: str, now: datetime, ttl_seconds: float) -> bool:
    if force.may_be_taken(holder, now, ttl_seconds):
        return True
    return force.holder != holder and _is_gone(connection, force.holder)


def _is_gone(connection: Connection, holder: str) -> bool:
    """Say whether the holder named a container of this very engine, and its process there lives no more."""
    container = container_of(holder)
    if not container:
        return False
    try:
        state = connection.get(path_of("/containers/{}/json", container))["State"]
        # Of a container that it is about to start again the engine says that it runs.
        return not state["Running"] or bool(state.get("Restarting"))
    except Rejected as rejected:
        if rejected.status == 404:
            return True
        raise


def _settled(connection: Connection, environment: str, wanted: Lease) -> Lease:
    """Read back who came first, and tidy up what is no longer in force."""
    known = _leases(connection, environment)
    force = max(known, key=_generation, default=wanted)
    outdated = [one for one in known if one.generation < force.generation]
    if force.holder == wanted.holder:
        _remove(connection, environment, outdated)
    return force


def _leases(connection: Connection, environment: str) -> list[Lease]:
    found = connection.get("/volumes", filters={"label": [f"{labels.LEASE}={environment}"]})
    return [lease for one in found.get("Volumes") or () if (lease := Lease.read(one["Name"], one.get("Labels") or {}))]


def _create(connection: Connection, environment: str, lease: Lease) -> None:
    marks = {
        labels.LEASE: environment,
        labels.ROLE: labels.ROLE_LEASE,
        labels.HOLDER: lease.holder,
        labels.EXPIRES: lease.expires.astimezone(UTC).isoformat(),
    }
    connection.post("/volumes/create", {"Name": _name(environment, lease), "Driver": "local", "Labels": marks})


def _remove(connection: Connection, environment: str, leases: Iterable[Lease]) -> None:
    for lease in leases:
        try:
            connection.delete(path_of("/volumes/{}", _name(environment, lease)))
        except Rejected as rejected:
            if rejected.status != 404:
                raise


def _name(environment: str, lease: Lease) -> str:
    return f"reconciler-lease-{environment}.{lease.generation}"


def _generation(lease: Lease) -> int:
    return lease.generation
