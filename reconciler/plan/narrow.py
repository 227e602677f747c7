"""What of a plan concerns one stack alone?"""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.plan import Action, Plan


def narrowed(plan: Plan, stack: str) -> Plan:
    """Return the plan without what it would do to other stacks, and without actions that need it done."""

    def mine(key: str) -> bool:
        return key.partition("/")[0] == stack

    actions: dict[str, Action] = {}
    for action in plan.actions:
        if mine(action.group) and all(need in actions for need in action.needs):
            actions[action.id] = action
    return replace(
        plan,
        groups=tuple(group for group in plan.groups if mine(group.key)),
        actions=tuple(actions.values()),
        waiting=tuple(one for one in plan.waiting if mine(one.group)),
        drift=tuple(group for group in plan.drift if mine(group.key)),
        blocked=tuple(one for one in plan.blocked if mine(one.group)),
        failures=tuple(one for one in plan.failures if mine(one.service)),
        announced=tuple(one for one in plan.announced if mine(one.group)),
    )
