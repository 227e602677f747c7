"""Does the whole loop keep its promises in whatever happens? RECONCILER_HISTORIES=20000 tries as many, new ones each time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from histories import History, calm_histories, histories
from hypothesis import HealthCheck, Phase, given, settings
from playing import Playing, play, play_calmly

HISTORIES = int(os.environ.get("RECONCILER_HISTORIES", "2000"))
CALM = HISTORIES // 5
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


def _counted(playing: Playing) -> dict[str, int]:
    steps, turns = len(playing.history.steps), len(playing.reports)
    return {"histories": 1, "steps": steps, "turns": turns, "changes": playing.world.mutations}


def _record(played: Counter[str], least: int, record_property: Record) -> None:
    assert played["histories"] >= least
    for name, count in played.items():
        record_property(name, count)
