"""Has the world moved since a plan was made?"""

from __future__ import annotations

import json
from hashlib import sha256

from reconciler.model import labels
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Plan


def fingerprint(plan: Plan, observed: ObservedState) -> str:
    """Return a hash of what the plan was made from: the commit, and ids, spec labels, networks and images of our objects.

    Health and uptime do not count: a plan stays good while what it touches stays the same thing.
    """
    seen = {
        "revision": plan.revision_id,
        "instances": sorted(
            (one.id, one.name, one.labels.get(labels.SPEC, ""), one.image_id, sorted(_networks(one.detail)))
            for one in observed.instances
        ),
        "networks": sorted(
            (one.id, one.name) for one in observed.networks if one.labels.get(labels.ENVIRONMENT) == plan.environment
        ),
        "images": sorted((reference, image.id if image else "") for reference, image in observed.images.items()),
        "groups": sorted(group.key for group in plan.groups),
    }
    return sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:32]


def _networks(detail: object) -> list[str]:
    settings = detail.get("NetworkSettings", {}) if isinstance(detail, dict) else {}
    return list(settings.get("Networks") or {})
