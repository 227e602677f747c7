"""Does the whole loop keep its promises in whatever happens? RECONCILER_HISTORIES=20000 tries as many histories."""

from __future__ import annotations

import os

from histories import History, calm_histories, histories
from hypothesis import HealthCheck, Phase, given, settings
from playing import play, play_calmly

HISTORIES = int(os.environ.get("RECONCILER_HISTORIES", "2000"))

quietly = settings(
    max_examples=HISTORIES * 4 // 5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


@quietly
@given(histories())
def test_whatever_happens_the_world_becomes_what_git_asks_for(history: History) -> None:
    play(history)


@settings(quietly, max_examples=HISTORIES // 5)
@given(calm_histories())
def test_enough_of_a_service_serve_while_a_good_revision_comes(history: History) -> None:
    play_calmly(history)
