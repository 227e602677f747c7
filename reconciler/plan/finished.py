"""Has this very spec of a job already succeeded?

Its success stands in the state database and as an empty labelled volume on the engine; either suffices, so that neither a
pruned container nor a lost state directory runs a migration twice.
"""

from __future__ import annotations

import json
from hashlib import sha256

from reconciler.model import labels
from reconciler.model.desired import Kind, Service
from reconciler.model.observed import ObservedVolume
from reconciler.model.plan import CreateVolume
from reconciler.plan.reasons import shown_work
from reconciler.plan.view import ServiceView, World


def finished(world: World, view: ServiceView) -> bool:
    """Say whether the job's present spec has succeeded before."""
    if view.spec in world.history.jobs.get(view.service.id, ()):
        return True
    near = world.stock.of_stack.get(view.service.stack, ())
    return any(_tells(volume, view) for volume in near if _remembers(world, view, volume))


def settled(world: World, view: ServiceView) -> bool:
    """Say whether a service is all that Git asks for: it serves, or it is a job that did its work, container or not."""
    return view.settled(world.now) or (view.service.kind is Kind.JOB and finished(world, view))


def marker(world: World, view: ServiceView) -> CreateVolume:
    """Return the change that remembers a success on the engine."""
    service = view.service
    digest = sha256("\0".join((world.desired.environment.name, service.id, view.spec)).encode()).hexdigest()[:16]
    tags = {
        labels.ENVIRONMENT: world.desired.environment.name,
        labels.STACK: service.stack,
        labels.SERVICE: service.name,
        labels.ROLE: labels.ROLE_JOB,
        labels.JOB: view.spec,
        labels.JOB_IMAGE: service.image,
        labels.JOB_SHOWN: _shown(service),
    }
    return CreateVolume(f"reconciler-job-{digest}", {}, tags)


def marked(world: World, view: ServiceView) -> bool:
    """Say whether the marker of the present spec exists on the engine."""
    return marker(world, view).name in world.stock.volumes


def _remembers(world: World, view: ServiceView, volume: ObservedVolume) -> bool:
    tags = volume.labels
    ours = tags.get(labels.ENVIRONMENT) == world.desired.environment.name and tags.get(labels.ROLE) == labels.ROLE_JOB
    return ours and f"{tags.get(labels.STACK)}/{tags.get(labels.SERVICE)}" == view.service.id


def _tells(volume: ObservedVolume, view: ServiceView) -> bool:
    """Equal specs prove it. Under a lost key no spec can be compared; then what differs in no way that may be shown counts
    as the same job, and the same image does where the mark says no more.
    """
    tags = volume.labels
    known = tags.get(labels.JOB, "")
    if _key(known) == _key(view.spec):
        return known == view.spec
    return tags.get(labels.JOB_IMAGE) == view.service.image and tags.get(labels.JOB_SHOWN) in (None, _shown(view.service))


def _key(spec: str) -> str:
    return spec.rpartition(":")[0]


def _shown(service: Service) -> str:
    return sha256(json.dumps(shown_work(service), sort_keys=True).encode()).hexdigest()[:32]
