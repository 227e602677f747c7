"""Can this engine do what the service asks?"""

from __future__ import annotations

from reconciler.plan.draft import Draft
from reconciler.plan.view import ServiceView, World


def blocked_by_engine(world: World, view: ServiceView, draft: Draft) -> bool:
    """Block a service that asks for what only a newer engine API has, naming both versions."""
    engine, service = world.observed.engine, view.service
    for need in service.needs_api:
        if _version(engine.api) < _version(need.minimum):
            message = f"{need.attribute} needs engine API {need.minimum}; this engine ({engine.version}) has {engine.api}"
            draft.block(service.id, "R138", message, "update the engine, or leave the attribute out", need.source)
            return True
    return False


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
