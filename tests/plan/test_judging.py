"""Which verdict do the gateway's statistics lead to? A table of cases, and what is true of all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.rollout import Tally
from reconciler.model.traffic import Backend, Layer, ObservedServer
from reconciler.plan.traffic.judging import Counted, count, judge, tallies

HTTP = Backend("shop.web.80", "shop/web", 80, Layer.L7)
TCP = Backend("shop.web.81", "shop/web", 81)
ANALYSIS = {"min_requests": 10, "on_no_traffic": "inconclusive"}


def server(name: str = "new", backend: Backend = HTTP, response_ms: int = 0, **totals: int) -> ObservedServer:
    named = {key.removeprefix("_"): value for key, value in totals.items()}
    return ObservedServer(backend.name, name, "10.0.0.1", backend.port, 100, response_ms=response_ms, totals=named)


@pytest.mark.parametrize(
    ("analysis", "new", "old", "verdict", "words"),
    [
        pytest.param({}, Counted(Tally(10, 0)), Counted(), "successful", "0 of 10 requests failed", id="nothing is asked"),
        pytest.param(
            {"max_error_ratio": 0.1}, Counted(Tally(20, 2)), Counted(), "successful", "2 of 20 requests failed", id="limit"
        ),
        pytest.param(
            {"max_error_ratio": 0.1},
            Counted(Tally(20, 3)),
            Counted(),
            "failed",
            "3 of 20 requests failed, more than 10.0%",
            id="above the limit",
        ),
        pytest.param(
            {"max_error_ratio": 0.0}, Counted(Tally(9, 9)), Counted(), "inconclusive",
            "9 requests, and 10 are needed to tell", id="too few, however bad",
        ),
        pytest.param(
            {"min_requests": 2}, Counted(Tally(1, 0)), Counted(), "inconclusive", "1 request, and 2 are needed to tell", id="1"
        ),
        pytest.param(
            {"on_no_traffic": "pass"}, Counted(), Counted(), "successful", "0 requests, and 10 are needed to tell", id="none"
        ),
        pytest.param(
            {"on_no_traffic": "fail"}, Counted(), Counted(), "failed", "0 requests, and 10 are needed to tell", id="none fails"
        ),
        pytest.param(
            {"max_slowdown": 0.5}, Counted(Tally(10, 0), 15.0), Counted(Tally(), 10.0), "successful",
            "0 of 10 requests failed; answers take 15 ms, the old set's 10 ms", id="as slow as it may be",
        ),
        pytest.param(
            {"max_slowdown": 0.5}, Counted(Tally(10, 0), 16.0), Counted(Tally(), 10.0), "failed",
            "answers take 16 ms, the old set's 10 ms: more than 50% slower", id="slower",
        ),
        pytest.param(
            {"max_slowdown": 0.5}, Counted(Tally(10, 0), 16.0), Counted(), "inconclusive",
            "0 of 10 requests failed; the old set answered nothing to compare with", id="nothing to compare with",
        ),
        pytest.param(
            {"max_slowdown": 0.5, "max_error_ratio": 0.0}, Counted(Tally(10, 1), 16.0), Counted(Tally(), 10.0), "failed",
            "1 of 10 requests failed, more than 0.0%", id="errors come first",
        ),
        pytest.param(
            {"on_no_traffic": "pass"}, Counted(Tally(-5, 0), None, missing=True), Counted(), "error",
            "the gateway began to count anew", id="what is missing is not nothing",
        ),
    ],
)  # fmt: skip
def test_a_verdict_follows_from_what_was_counted(
    analysis: dict[str, Any], new: Counted, old: Counted, verdict: str, words: str
) -> None:
    assert judge({**ANALYSIS, **analysis}, new, old) == (verdict, words)


@pytest.mark.parametrize(
    ("servers", "begun", "counted"),
    [
        pytest.param([], {}, Counted(), id="nobody"),
        pytest.param([server(_2xx=8, _5xx=2)], {}, Counted(Tally(10, 2), 0.0), id="a server that came meanwhile"),
        pytest.param(
            [server(_2xx=8, _4xx=1, _5xx=3, response_ms=20)],
            {"shop.web.80/new": Tally(7, 2)},
            Counted(Tally(5, 1), 20.0),
            id="what was answered before does not count",
        ),
        pytest.param(
            [server(_2xx=1, connect_errors=2, response_errors=3)], {}, Counted(Tally(6, 5), 0.0), id="no answer fails"
        ),
        pytest.param(
            [server(backend=TCP, sessions=9, connect_errors=2, response_errors=4, _5xx=1, response_ms=7)],
            {"shop.web.81/new": Tally(4, 1)},
            Counted(Tally(5, 1)),
            id="of connections only those that were not made failed, and nobody knows how long they took",
        ),
        pytest.param(
            [server("one", _2xx=10, response_ms=10), server("two", _2xx=30, response_ms=20)],
            {},
            Counted(Tally(40, 0), 17.5),
            id="who answered more counts more",
        ),
        pytest.param(
            [server("one", _2xx=90), server("two", _2xx=3)],
            {"shop.web.80/one": Tally(50, 0), "shop.web.80/two": Tally(4, 0)},
            Counted(Tally(39, 0), 0.0, missing=True),
            id="one that counts anew among others that do not",
        ),
        pytest.param(
            [server(_2xx=9)], {"shop.web.80/new": Tally(5, 1)}, Counted(Tally(4, -1), 0.0, missing=True), id="fewer failures"
        ),
        pytest.param(
            [server(backend=Backend("shop.web.9", "shop/web", 9), _2xx=5)], {}, Counted(), id="a port it has no more"
        ),
    ],
)  # fmt: skip
def test_what_a_set_answered_is_counted_from_the_beginning_of_the_step(
    servers: list[ObservedServer], begun: dict[str, Tally], counted: Counted
) -> None:
    assert count(servers, (HTTP, TCP), begun) == counted


@given(
    before=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    more=st.tuples(st.integers(0, 50), st.integers(0, 50)),
)
def test_counting_from_any_moment_gives_what_came_after_it(before: tuple[int, int], more: tuple[int, int]) -> None:
    begun = tallies([server(_2xx=before[0], _5xx=before[1])], (HTTP,))
    counted = count([server(_2xx=before[0] + more[0], _5xx=before[1] + more[1])], (HTTP,), begun)
    assert (counted.tally, counted.missing) == (Tally(sum(more), more[1]), False)


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 64), st.integers(1, 50))
def test_a_new_set_fails_with_more_errors_than_it_may_have(requests: int, failed: int, of_64: int, least: int) -> None:
    analysis = {**ANALYSIS, "max_error_ratio": of_64 / 64, "min_requests": least}
    verdict, _ = judge(analysis, Counted(Tally(requests, min(failed, requests))), Counted())
    assert (verdict == "failed") == (requests >= least and 64 * min(failed, requests) > of_64 * requests)
