"""Does what turns learn stay within bounds, however long they go on?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.model import labels
from reconciler.model.history import KEPT_RUNS, HashKey, History
from reconciler.model.plan import Action, CreateVolume, Plan, Reason
from reconciler.model.status import Outcome
from reconciler.record import LATELY, learn

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_what_was_asked_or_updated_long_ago_is_forgotten() -> None:
    times = {"recent": NOON - LATELY + timedelta(seconds=1), "old": NOON - LATELY}
    history = replace(History(HashKey("k", b"secret")), asked=times, updated=times)
    learned = learn(history, Plan("production", "a", "", NOON), (), NOON, asked=["web:1"])
    assert (set(learned.asked), set(learned.updated)) == ({"recent", "web:1"}, {"recent"})


def test_a_history_that_only_asks_does_not_grow() -> None:
    history = History(HashKey("k", b"secret"))
    for day in range(200):
        now = NOON + timedelta(days=day)
        history = learn(history, Plan("production", "a", "", now), (), now, asked=[f"web:{day}"])
    assert len(history.asked) == LATELY.days


def test_of_each_job_the_last_successes_are_remembered() -> None:
    history = History(HashKey("k", b"secret"))
    for run in range(KEPT_RUNS + 20):
        marker = CreateVolume(f"reconciler-job-{run}", {}, {labels.JOB: f"v1:k:{run}"})
        ended = Action("shop/migrate/remember", marker, "shop/migrate", (Reason("exit code 0"),))
        history = learn(history, Plan("production", "a", "", NOON), [(ended, Outcome(ended.id))], NOON)
    assert history.jobs["shop/migrate"] == tuple(f"v1:k:{run}" for run in range(20, KEPT_RUNS + 20))
