"""(DesiredState, ObservedState, History) -> Plan. Every decision of the product is here, and nothing else is.

fleet       whose is each container?            view        current or stale, per slot
diff        what differs, field by field        readiness   ready, starting or failed
order       old first or new first?             gates       what must hold before a start
rollout     the next step of every slot         upkeep      healing what needs no new container
jobs        what runs once                      resources   networks, volumes, images
prune       what Git no longer has              effective   the newest version, or the last good one?
windows     may a change begin now?     suspended   what is left alone?
planner     the story                           render      the plan in print
"""

from reconciler.plan.planner import make_plan

__all__ = ["make_plan"]
