"""Who may change an environment on this engine? Kept as on a real one: in the labels of volumes, the highest in force."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from reconciler.drivers.memory.engine import Engine
from reconciler.drivers.memory.volume import Volume
from reconciler.model import labels
from reconciler.ports import Lease

_NOBODY = Lease("", datetime(1970, 1, 1, tzinfo=UTC), 0)


def claim(engine: Engine, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
    """Take or renew the lease if it may be taken; return the one in force. Renews when half of the time is over."""
    force = _in_force(engine, environment)
    gone = force.holder != holder and _is_gone(engine, force.holder)
    due = gone or force.may_be_taken(holder, now, ttl_seconds)
    return _follow(engine, environment, force, holder, now + timedelta(seconds=ttl_seconds)) if due else force


def release(engine: Engine, environment: str, holder: str) -> None:
    """Follow our lease by one that nobody holds; do nothing if it is not ours."""
    force = _in_force(engine, environment)
    if force.generation and force.holder == holder:
        _follow(engine, environment, force, _NOBODY.holder, _NOBODY.expires)


def _in_force(engine: Engine, environment: str) -> Lease:
    found = [_read(volume) for volume in _volumes(engine, environment)]
    return max(found, key=lambda lease: lease.generation, default=_NOBODY)


def _follow(engine: Engine, environment: str, force: Lease, holder: str, expires: datetime) -> Lease:
    outdated = _volumes(engine, environment)
    marks = {
        labels.LEASE: environment,
        labels.ROLE: labels.ROLE_LEASE,
        labels.HOLDER: holder,
        labels.EXPIRES: expires.isoformat(),
    }
    made = engine.create_volume(f"reconciler-lease-{environment}.{force.generation + 1}", {}, marks)
    for volume in outdated:
        engine.remove_volume(volume.name)
    return _read(made)


def _volumes(engine: Engine, environment: str) -> list[Volume]:
    return [one for one in engine.volumes.by_name.values() if one.labels.get(labels.LEASE) == environment]


def _read(volume: Volume) -> Lease:
    number = int(volume.name.rpartition(".")[2])
    return Lease(volume.labels[labels.HOLDER], datetime.fromisoformat(volume.labels[labels.EXPIRES]), number)


def _is_gone(engine: Engine, holder: str) -> bool:
    """Say whether the holder named a container of this engine, and that container runs no more."""
    named = re.search(r"\bcontainer=([0-9a-f]{12,64})\b", holder)
    if not named:
        return False
    found = engine.find(named[1])
    return found is None or not found.alive
