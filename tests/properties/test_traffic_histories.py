"""Does the gateway always send to somebody who is well, and never to anybody else, whatever happens?

RECONCILER_HISTORIES=20000 tries a twentieth of as many, new ones each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from traffic_asked import History, histories
from traffic_playing import play

HISTORIES = int(os.environ.get("RECONCILER_HISTORIES", "500")) // 20

quietly = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=HISTORIES)


@quietly
@given(histories())
def test_whatever_happens_requests_are_answered(history: History) -> None:
    play(history)
