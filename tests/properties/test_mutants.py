"""Can the random histories fail at all? Every mutant must be found, within so many of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from histories import History, calm_histories, histories
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutants import MUTANTS, Mutant
from playing import play, play_calmly
from promises import Broken

HISTORIES = 400
"""A mutant that is not found within as many is one too many for us."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_is_found_that(mutant: Mutant, record_property: Callable[[str, object], None]) -> None:
    record_property("mutant", mutant.name)

    @seed(1)
    @settings(
        max_examples=HISTORIES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(calm_histories() if mutant.calm else histories())
    def play_with(history: History) -> None:
        (play_calmly if mutant.calm else play)(history, mutant.cast)

    with pytest.raises(Broken):
        play_with()
