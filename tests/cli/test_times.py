"""Do people and the command line mean the same time?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from reconciler.cli.times import age, coming, length, moment, span, stamp
from reconciler.errors import UsageError

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (0, "0 s"), (1.9, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_duration_is_said_in_the_largest_unit_that_fits_twice(seconds: float, said: str) -> None:
    assert length(seconds) == said
    assert age(NOW - timedelta(seconds=seconds), NOW) == said


def test_a_time_is_said_in_utc_whatever_zone_it_comes_from() -> None:
    assert stamp(datetime(2026, 11, 23, 14, 0, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-23 12:00:05Z"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-22T08:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
        ("2026-11-22 08:00:05Z", datetime(2026, 11, 22, 8, 0, 5, tzinfo=UTC)),
        ("2026-11-22T08:00+02:00", datetime(2026, 11, 22, 6, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("09:15", datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2 h ago", NOW - timedelta(hours=2)),
        ("3 min", NOW - timedelta(minutes=3)),
        ("1d", NOW - timedelta(days=1)),
    ],
)
def test_a_time_is_read_as_people_write_it_and_as_we_print_it(text: str, meant: datetime) -> None:
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "2026-13-01", "90", "999999999999999999d", "999999999d"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        moment(text, NOW)
    assert "2026-11-23T12:00" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(hours=36)),
        ("1h 30min", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_a_duration_may_have_several_parts(text: str, meant: timedelta) -> None:
    assert span(text) == meant


@pytest.mark.parametrize("text", ["", "90", "h", "0m", "-5m", "5m later", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        span(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("18:00", datetime(2026, 11, 23, 18, tzinfo=UTC)),
        ("08:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("08:00:30Z", datetime(2026, 11, 24, 8, 0, 30, tzinfo=UTC)),
        ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-11-22T08:00", datetime(2026, 11, 22, 8, tzinfo=UTC)),
    ],
)
def test_a_time_of_day_that_has_passed_is_tomorrows(text: str, meant: datetime) -> None:
    assert coming(text, NOW) == meant
