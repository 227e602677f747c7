"""Is a new set as good as the old one, by what the gateway counted of both?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.rollout import Tally, Verdict

_NO_TRAFFIC = {"inconclusive": Verdict.INCONCLUSIVE, "pass": Verdict.SUCCESSFUL, "fail": Verdict.FAILED}


def judge(analysis: Mapping[str, Any], new: Tally, old: Tally) -> tuple[Verdict, str]:
    """Return the verdict on a new set, and what it is founded on, in words.

    `analysis` is `x-rollout.analysis`; the tallies are what was counted since the step began.
    """
    if new.requests < analysis["min_requests"]:
        words = f"{new.requests} requests, {analysis['min_requests']} are needed to tell"
        return _NO_TRAFFIC[analysis["on_no_traffic"]], words
    ratio = new.failed / new.requests
    most = analysis.get("max_error_ratio")
    if most is not None and ratio > most:
        return Verdict.FAILED, f"{new.failed} of {new.requests} requests failed, more than {most:.1%}"
    slower = analysis.get("max_slowdown")
    if slower is not None and old.requests and old.millis:
        took, before = new.millis / new.requests, old.millis / old.requests
        if took > before * (1 + slower):
            return Verdict.FAILED, f"answers take {took:.0f} ms, the old set {before:.0f} ms: more than {slower:.0%} slower"
    return Verdict.SUCCESSFUL, f"{new.failed} of {new.requests} requests failed"
