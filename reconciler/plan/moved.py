"""Would a stack's new project name leave its data behind?"""

from __future__ import annotations

from reconciler.model import labels
from reconciler.model.desired import Stack
from reconciler.plan.draft import Draft
from reconciler.plan.prune import confirmation
from reconciler.plan.view import World


def moved_away(world: World, stack: Stack, draft: Draft) -> bool:
    """Block a stack whose project was renamed away from volumes that nothing wanted continues, until a person confirms."""
    behind = _left_behind(world, stack)
    if not behind:
        return False
    token = confirmation(behind)
    if world.desired.environment.prune.confirm == token:
        return False
    old = next(iter(behind.values()))
    message = (
        f"stack {stack.name} was project {old} and is now {stack.project}; its volumes {', '.join(behind)} would stay behind"
    )
    hint = f"keep `project: {old}`, give the volumes a fixed `name`, or set `prune: {{confirm: {token}}}`"
    draft.block(stack.name, "R141", message, hint, stack.source)
    return True


def _left_behind(world: World, stack: Stack) -> dict[str, str]:
    """Return volume name -> former project."""
    wanted = {volume.name for volume in stack.volumes}
    return {
        volume.name: volume.labels[labels.COMPOSE_PROJECT]
        for volume in sorted(world.stock.of_stack.get(stack.name, ()), key=lambda volume: volume.name)
        if volume.labels.get(labels.ENVIRONMENT) == world.desired.environment.name
        and volume.labels.get(labels.COMPOSE_PROJECT, stack.project) != stack.project
        and volume.name not in wanted
    }
