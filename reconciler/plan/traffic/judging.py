"""Is a new set as good as the old one, by what the gateway counted of both?

The gateway's counters grow until it begins anew, as it does when it is restarted or loaded. What it counted before is lost
then: missing, which is not the same as nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.rollout import Tally, Verdict
from reconciler.model.traffic import Backend, Layer, ObservedServer

_ANSWERS = ("1xx", "2xx", "3xx", "4xx", "5xx")
_NO_TRAFFIC = {"inconclusive": Verdict.INCONCLUSIVE, "pass": Verdict.SUCCESSFUL, "fail": Verdict.FAILED}


@dataclass(frozen=True, slots=True)
class Counted:
    """What a set answered.

    tally        since the step began
    response_ms  how long its latest answers took on average, None where none was measured (L4)
    missing      counting began anew meanwhile: what came before is not in the tally
    """

    tally: Tally = field(default_factory=Tally)
    response_ms: float | None = None
    missing: bool = False


def judge(analysis: Mapping[str, Any], new: Counted, old: Counted) -> tuple[Verdict, str]:
    """Return the verdict on a new set, and what it is founded on, in words. `analysis` is `x-rollout.analysis`."""
    if new.missing:
        return Verdict.ERROR, "the gateway began to count anew"
    tally = new.tally
    if tally.requests < analysis["min_requests"]:
        words = f"{_count(tally.requests)}, and {analysis['min_requests']} are needed to tell"
        return _NO_TRAFFIC[analysis["on_no_traffic"]], words
    most, said = analysis.get("max_error_ratio"), f"{tally.failed} of {_count(tally.requests)} failed"
    if most is not None and tally.failed / tally.requests > most:
        return Verdict.FAILED, f"{said}, more than {most:.1%}"
    slower = analysis.get("max_slowdown")
    if slower is None or new.response_ms is None:
        return Verdict.SUCCESSFUL, said
    if old.response_ms is None:
        return _NO_TRAFFIC[analysis["on_no_traffic"]], f"{said}; the old set answered nothing to compare with"
    times = f"answers take {new.response_ms:.0f} ms, the old set's {old.response_ms:.0f} ms"
    if new.response_ms > old.response_ms * (1 + slower):
        return Verdict.FAILED, f"{times}: more than {slower:.0%} slower"
    return Verdict.SUCCESSFUL, f"{said}; {times}"


def _count(requests: int) -> str:
    return "1 request" if requests == 1 else f"{requests} requests"


def count(servers: Iterable[ObservedServer], backends: Collection[Backend], begun: Mapping[str, Tally]) -> Counted:
    """Return what some servers answered since a step began, when the counters stood at `begun` (see `tallies`).

    A server that was not there then counted from nothing.
    """
    servers = tuple(servers)
    layers = {backend.name: backend.layer for backend in backends}
    now, requests, failed, missing = tallies(servers, backends), 0, 0, False
    for name, one in now.items():
        then = begun.get(name, Tally())
        missing = missing or one.requests < then.requests or one.failed < then.failed
        requests, failed = requests + one.requests - then.requests, failed + one.failed - then.failed
    answered = [one for one in servers if layers.get(one.backend) is Layer.L7 and _answers(one)]
    weight = sum(map(_answers, answered))
    mean = sum(one.response_ms * _answers(one) for one in answered) / weight if weight else None
    return Counted(Tally(requests, failed), mean, missing)


def tallies(servers: Iterable[ObservedServer], backends: Collection[Backend]) -> Mapping[str, Tally]:
    """Return how the counters of some servers stand now, by "BACKEND/SERVER"."""
    layers = {backend.name: backend.layer for backend in backends}
    return {f"{one.backend}/{one.name}": _tally(one, layers[one.backend]) for one in servers if one.backend in layers}


def _tally(server: ObservedServer, layer: Layer) -> Tally:
    """Of connections only one that was not made is known to have failed; a request fails without an answer, too."""
    unmade = server.totals.get("connect_errors", 0)
    if layer is Layer.L4:
        return Tally(server.totals.get("sessions", 0), unmade)
    failed = unmade + server.totals.get("response_errors", 0)
    return Tally(_answers(server) + failed, server.totals.get("5xx", 0) + failed)


def _answers(server: ObservedServer) -> int:
    return sum(server.totals.get(name, 0) for name in _ANSWERS)
