"""What of the gateway's counters is kept for later?"""

from __future__ import annotations

from reconciler.model.observed import ObservedState
from reconciler.model.traffic import Sample


def samples(observed: ObservedState) -> tuple[Sample, ...]:
    """Return one sample for each listener and each server of the gateway; () where it does not answer."""
    gateway = observed.gateway
    if gateway is None:
        return ()
    listeners = (Sample(observed.at, name, totals) for name, totals in gateway.totals.items())
    servers = (
        Sample(observed.at, f"{one.backend}/{one.name}", one.totals, one.in_flight, one.queued, one.response_ms)
        for one in gateway.servers
    )
    return (*listeners, *servers)
