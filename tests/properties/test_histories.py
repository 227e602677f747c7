"""Does the whole loop keep its promises in whatever happens? RECONCILER_HISTORIES=20000 tries as many, new ones each time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from histories import History, calm_histories, histories
from hypothesis import HealthCheck, Phase, given, settings
from playing import Cast, Playing, play, play_calmly

from reconciler.loop import Reconciler
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Plan
from reconciler.plan import make_plan
from reconciler.plan.rollback import TakenBack

HISTORIES = int(os.environ.get("RECONCILER_HISTORIES", "2000"))
CALM = HISTORIES // 5
DOUBTFUL = HISTORIES // 40
WILD = HISTORIES - CALM

Record = Callable[[str, object], None]

quietly = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


def test_whatever_happens_the_world_becomes_what_git_asks_for(record_property: Record) -> None:
    played = Counter[str]()

    @settings(quietly, max_examples=WILD)
    @given(histories())
    def whatever_happens(history: History) -> None:
        played.update(_counted(play(history)))

    whatever_happens()
    _record(played, WILD, record_property)


def test_enough_of_a_service_serve_while_a_good_revision_comes(record_property: Record) -> None:
    played = Counter[str]()

    @settings(quietly, max_examples=CALM)
    @given(calm_histories())
    def while_a_good_revision_comes(history: History) -> None:
        played.update(_counted(play_calmly(history)))

    while_a_good_revision_comes()
    _record(played, CALM, record_property)


class Doubter(Reconciler):
    """Makes every plan a second time, without what is remembered of the last one."""

    def decide(self, now: TakenBack, observed: ObservedState) -> Plan:
        plan = Reconciler.decide(self, now, observed)
        assert plan == make_plan(now.desired, observed, now.history, now.previous, self.applier.busy | now.unread)
        return plan


def test_a_plan_is_the_same_with_a_memory_and_without_one() -> None:
    @settings(quietly, max_examples=DOUBTFUL)
    @given(histories())
    def whatever_happened_before(history: History) -> None:
        play(history, Cast(reconciler=Doubter))

    whatever_happened_before()


def _counted(playing: Playing) -> dict[str, int]:
    steps, turns = len(playing.history.steps), len(playing.reports)
    return {"histories": 1, "steps": steps, "turns": turns, "changes": playing.world.mutations}


def _record(played: Counter[str], least: int, record_property: Record) -> None:
    assert played["histories"] >= least
    for name, count in played.items():
        record_property(name, count)
