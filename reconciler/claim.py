"""May this process change the environment, or does somebody else hold its lease?"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket

from reconciler.errors import ReconcilerError, Refused
from reconciler.ports import Clock, Lease, Runtime

LEASE_SECONDS = 60.0
RENEW_SECONDS = LEASE_SECONDS / 3
"""How often a holder must ask again to be sure of it: two requests may be lost."""


class Claim:
    """Our side of the lease of one environment on one engine."""

    def __init__(self, runtime: Runtime, clock: Clock, holder: str) -> None:
        self.holder = holder
        self._runtime = runtime
        self._clock = clock
        self._environment = ""

    def held_by_other(self, environment: str) -> Lease | None:
        """Take or renew the lease; return it when somebody else has it. Raises Unreachable: then nobody knows."""
        self._environment = environment
        lease = self._runtime.claim_lease(environment, self.holder, self._clock.now(), LEASE_SECONDS)
        return lease if lease.holder != self.holder else None

    def take(self, environment: str) -> None:
        """Take or renew the lease. Raises Refused when somebody else has it, saying who and until when."""
        if lease := self.held_by_other(environment):
            hint = f"it watches {environment} already: push to Git, or stop it; a lease left behind ends by itself"
            raise Refused(f"{lease.holder} holds the lease of {environment} until {lease.expires:%H:%M:%S} UTC", hint=hint)

    def release(self) -> None:
        """Give the lease back, if it is ours. When the engine does not answer it ends by itself."""
        if self._environment:
            with contextlib.suppress(ReconcilerError):
                self._runtime.release_lease(self._environment, self.holder)


def holder_name(container: str = "") -> str:
    """Return who we are, as the lease says it: host, process, a random part, and the container we run in ("" for none)."""
    inside = f" container={container}" if container else ""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}{inside}"
