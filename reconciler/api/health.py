"""Is the process alive, and is it ready? Two pages over HTTP for whoever supervises it.

/healthz  200 while the loop comes round, or waits for an engine that is not up yet; 503 when it hangs
/readyz   200 once a turn was made on a valid revision, with the engine answering; 503 with the reason until then
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from reconciler.api.http import Answer, Request, Respond, document
from reconciler.ports import Clock
from reconciler.resident import Pulse

HUNG_SECONDS = 180.0
"""A turn waits for the engine a minute at most at each step; a loop that is silent for longer hangs."""

Page = tuple[HTTPStatus, Mapping[str, Any]]


def pages(pulse: Pulse, clock: Clock) -> Respond:
    """Return who answers for both paths."""
    answers = {"/healthz": healthz, "/readyz": readyz}

    def respond(request: Request) -> Answer:
        page = answers.get(request.path)
        if page is None:
            return document({"status": "no such page"}, HTTPStatus.NOT_FOUND)
        if request.method != "GET":
            return document({"status": "only to be read"}, HTTPStatus.METHOD_NOT_ALLOWED)
        status, content = page(pulse, clock)
        return document(content, status)

    return respond


def healthz(pulse: Pulse, clock: Clock) -> Page:
    """Say whether the loop still comes round."""
    age = clock.monotonic() - pulse.beat
    alive = age <= HUNG_SECONDS
    document = {"status": "ok" if alive else "hung", "beat_age_seconds": round(age, 1), **_last_turn(pulse, clock)}
    return HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE, document


def readyz(pulse: Pulse, clock: Clock) -> Page:
    """Say whether it does its work, and if not, why."""
    why = _why_not_ready(pulse)
    document = {"status": "not ready" if why else "ready", "reason": why, **_last_turn(pulse, clock)}
    return HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, document


def _why_not_ready(pulse: Pulse) -> str:
    if pulse.waiting_for is not None:
        return f"{pulse.waiting_for.holder} holds the lease"
    if pulse.report is None:
        return pulse.trouble or "no turn has been made yet"
    return "" if pulse.ready else pulse.report.error or "no valid revision has been seen yet"


def _last_turn(pulse: Pulse, clock: Clock) -> dict[str, Any]:
    report = pulse.report
    if report is None:
        return {"turn": None}
    age = (clock.now() - report.finished).total_seconds()
    revision = report.revision.id if report.revision else ""
    turn = {"age_seconds": round(age, 1), "operation": report.operation.value, "revision": revision, "applied": report.applied}
    return {"turn": turn}
