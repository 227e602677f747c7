"""Which whole-number weights give a new set its share?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.traffic import HEAVIEST
from reconciler.plan.traffic.shares import weights

replicas = st.integers(1, 30)


@given(share=st.integers(1, 99), new=replicas, old=replicas)
def test_the_new_set_gets_its_share_as_nearly_as_whole_numbers_can(share: int, new: int, old: int) -> None:
    heavy, light = weights(share, new, old)
    assert 1 <= heavy <= HEAVIEST
    assert 1 <= light <= HEAVIEST
    got = 100 * heavy * new / (heavy * new + light * old)
    best = min(abs(100 * a * new / (a * new + b * old) - share) for a in range(1, HEAVIEST + 1) for b in (1, light, HEAVIEST))
    assert abs(got - share) <= best + 1e-9


@given(share=st.integers(3, 97), new=st.integers(1, 10), old=st.integers(1, 10))
def test_a_share_is_within_one_point_for_sets_of_ordinary_size(share: int, new: int, old: int) -> None:
    heavy, light = weights(share, new, old)
    assert abs(100 * heavy * new / (heavy * new + light * old) - share) <= 1.0


@given(new=replicas, old=replicas)
def test_nothing_and_everything_are_exact(new: int, old: int) -> None:
    assert weights(0, new, old)[0] == 0
    assert weights(0, new, old)[1] > 0
    assert weights(100, new, old)[0] > 0
    assert weights(100, new, old)[1] == 0


@given(share=st.integers(0, 100), count=replicas)
def test_a_set_of_nobody_leaves_all_to_the_other_one(share: int, count: int) -> None:
    assert weights(share, 0, count)[1] > 0
    assert weights(share, count, 0)[0] > 0
