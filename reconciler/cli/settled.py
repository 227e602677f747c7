"""How does a verb that applies turn until nothing moves, and leave in time whatever happens?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.claim import Claim, holder_name
from reconciler.cli import FAILED
from reconciler.cli.leaving import leave_within
from reconciler.settle import DRAIN_SECONDS, settle
from reconciler.wake import listening

if TYPE_CHECKING:
    from reconciler.loop import Reconciler
    from reconciler.model.status import Report

LEAVE_SECONDS = 2.0
"""What is left to be said takes no longer; a call that still hangs then is left."""


def claim_of(reconciler: Reconciler) -> Claim:
    """Return this process's side of the lease, not taken yet."""
    world = reconciler.world
    return Claim(world.runtime, world.clock, holder_name(world.runtime.own_container()), reconciler.ledger)


def settled(
    reconciler: Reconciler, claim: Claim, timeout_seconds: float, tell: Callable[[Report], None] = lambda report: None
) -> Report:
    """Apply the revision that was fetched, `tell` every turn, give the lease back, and return the last turn.

    Raises what `settle` raises. A call that hangs beyond the end does not keep the process.
    """
    with listening(reconciler.world.runtime) as bell:
        try:
            return settle(reconciler, claim, tell, bell.wait, timeout_seconds)
        finally:
            reconciler.end(DRAIN_SECONDS)
            claim.release()
            if reconciler.applier.busy:
                leave_within(LEAVE_SECONDS, FAILED)
