"""What of a plan only brings back what was there, and needs no memory of what was done before?"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.plan import (
    Action,
    ConnectNetwork,
    CreateInstance,
    DeliverFiles,
    DisconnectNetwork,
    Plan,
    Register,
    RemoveInstance,
    RenameInstance,
    StartInstance,
    StopInstance,
    UnpauseInstance,
    UpdateInstance,
    Verb,
)

_HARMLESS = (
    ConnectNetwork, CreateInstance, DeliverFiles, DisconnectNetwork, RemoveInstance, RenameInstance, StartInstance,
    StopInstance, UnpauseInstance, UpdateInstance,
)  # fmt: skip


def only_healing(plan: Plan) -> Plan:
    """Return the plan without all that is no healing, and without the healing of what has hooks or waits for anything else.

    It is never complete: what it leaves out is still to be done.
    """
    left_out = {action.group for action in plan.actions if not _heals(action)}
    kept = {group.key: group for group in plan.groups if group.verb is Verb.HEAL and group.key not in left_out}
    first = {need for action in plan.actions if action.group in kept for need in action.needs}
    actions: dict[str, Action] = {}
    for action in plan.actions:
        # A registry is told that a container is about to stop, whatever it stops for.
        tells = isinstance(action.change, Register) and action.id in first
        if (action.group in kept or tells) and all(need in actions for need in action.needs):
            actions[action.id] = action
    told = {action.group for action in actions.values()}
    kept |= {group.key: group for group in plan.groups if group.key in told}
    return replace(
        plan,
        groups=tuple(kept.values()),
        actions=tuple(actions.values()),
        waiting=tuple(one for one in plan.waiting if one.group in kept),
        failures=(),
        announced=(),
        complete=False,
    )


def _heals(action: Action) -> bool:
    return action.verb is Verb.HEAL and isinstance(action.change, _HARMLESS)
