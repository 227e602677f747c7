"""Who may change an environment on this engine? Kept as on a real one: in the labels of volumes, the highest in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.drivers.memory.engine import Engine
from reconciler.drivers.memory.volume import Volume
from reconciler.errors import Conflict
from reconciler.model import labels
from reconciler.model.holder import container_of, heir
from reconciler.model.observed import Phase
from reconciler.model.plan import HandOver
from reconciler.ports import Lease

_NOBODY = Lease("", datetime(1970, 1, 1, tzinfo=UTC), 0)


def claim(engine: Engine, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
    """Take or renew the lease if it may be taken; return the one in force. Renews when half of the time is over."""
    force = _in_force(engine, environment)
    gone = force.holder != holder and _is_gone(engine, force.holder)
    due = gone or force.may_be_taken(holder, now, ttl_seconds)
    wanted = replace(force, holder=holder, expires=now + timedelta(seconds=ttl_seconds))
    before = force.holder if force.holder != holder else ""
    return replace(_follow(engine, environment, wanted), before=before) if due else force


def release(engine: Engine, environment: str, holder: str) -> None:
    """Follow our lease by one that nobody holds; do nothing if it is not ours."""
    force = _in_force(engine, environment)
    if force.generation and force.holder == holder:
        _follow(engine, environment, replace(_NOBODY, generation=force.generation))


def pass_on(engine: Engine, change: HandOver) -> None:
    """Follow the holder's lease by one for its successor. Raises Conflict when it is not the holder's."""
    force = _in_force(engine, change.environment)
    if force.holder != change.holder:
        raise Conflict(f"{force.holder or 'nobody'} holds the lease by now")
    _follow(engine, change.environment, replace(force, holder=heir(change.target.id), expires=change.until))


def _in_force(engine: Engine, environment: str) -> Lease:
    found = (Lease.read(volume.name, volume.labels) for volume in _volumes(engine, environment))
    return max(filter(None, found), key=lambda lease: lease.generation, default=_NOBODY)


def _follow(engine: Engine, environment: str, lease: Lease) -> Lease:
    """Put a lease in force after the one whose number it still has."""
    outdated, next = _volumes(engine, environment), replace(lease, generation=lease.generation + 1)
    marks = {
        labels.LEASE: environment,
        labels.ROLE: labels.ROLE_LEASE,
        labels.HOLDER: next.holder,
        labels.EXPIRES: next.expires.isoformat(),
    }
    engine.create_volume(f"reconciler-lease-{environment}.{next.generation}", {}, marks)
    for volume in outdated:
        engine.remove_volume(volume.name)
    return next


def _volumes(engine: Engine, environment: str) -> list[Volume]:
    return [one for one in engine.volumes.by_name.values() if one.labels.get(labels.LEASE) == environment]


def _is_gone(engine: Engine, holder: str) -> bool:
    """Say whether the holder named a container of this engine, and its process there lives no more."""
    container = container_of(holder)
    if not container:
        return False
    found = engine.find(container)
    return found is None or not found.alive or found.phase is Phase.RESTARTING
