"""When is a window open? Cron by the wall clock, on the days that clock is set too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.load.schedule import cron_mistake, parse_schedule
from reconciler.model.schedule import Schedule, Window, WindowKind
from reconciler.plan.windows import closed_by, opens_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(kind: str, schedule: str, hours: float, timezone: str = "UTC") -> Window:
    return Window(f"{kind}ed", WindowKind(kind), parse_schedule(schedule, timezone), hours * 3600)


# Europe/Berlin goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
@pytest.mark.parametrize(
    ("schedule", "timezone", "after", "strikes"),
    [
        ("0 8 * * 1-5", "UTC", "2026-06-05T08:00", ["2026-06-08T08:00", "2026-06-09T08:00"]),
        ("0 8 * * 1-5", "Europe/Berlin", "2026-03-27T07:00", ["2026-03-30T06:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:30", "2026-03-30T00:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T01:00", "2026-03-29T02:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-10-24T23:30", ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", ["2018-11-04T03:00", "2018-11-05T02:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["2028-02-29T00:00"]),
        ("0 0 29 2 *", "UTC", "2096-03-01T00:00", ["2104-02-29T00:00"]),
        ("0 0 1 * mon", "UTC", "2026-05-30T00:00", ["2026-06-01T00:00", "2026-06-08T00:00"]),
        ("0 0 */2 * 1", "UTC", "2026-06-01T00:00", ["2026-06-15T00:00"]),
        ("5/20 3 * jan,jul sun", "UTC", "2026-06-01T00:00", ["2026-07-05T03:05", "2026-07-05T03:25", "2026-07-05T03:45"]),
        ("0 0 * * 7", "UTC", "2026-06-01T00:00", ["2026-06-07T00:00"]),
    ],
)
def test_a_schedule_strikes_by_the_wall_clock(schedule: str, timezone: str, after: str, strikes: list[str]) -> None:
    parsed, at = parse_schedule(schedule, timezone), utc(after)
    for strike in strikes:
        struck = parsed.next(at)
        assert struck == utc(strike)
        assert parsed.last(struck) == struck
        at = struck


def test_a_day_that_no_month_has_never_comes() -> None:
    never = window("deny", "0 0 31 2,4 *", 1)
    assert never.schedule.next(utc("2026-06-01T00:00")) is None
    assert not never.is_open(utc("2026-06-01T00:00"))


@pytest.mark.parametrize(
    ("at", "closes"),
    [
        ("2026-03-28T22:00", "2026-03-29T04:00"),  # 23:00 in Berlin; six hours later it is 06:00 there.
        ("2026-10-24T21:00", "2026-10-25T03:00"),  # 23:00 in Berlin; six hours later it is 04:00 there.
    ],
)
def test_a_window_lasts_for_time_that_really_passes(at: str, closes: str) -> None:
    night = window("deny", "0 23 * * *", 6, "Europe/Berlin")
    assert not night.is_open(utc(at) - timedelta(seconds=1))
    assert night.is_open(utc(at))
    assert night.turns(utc(at)) == utc(closes)
    assert night.is_open(utc(closes) - timedelta(seconds=1))
    assert not night.is_open(utc(closes))


@pytest.mark.parametrize(
    ("windows", "why", "until"),
    [
        ((), "", None),
        ((window("deny", "0 8 * * *", 10),), "deny window denyed is open", "2026-06-01T18:00"),
        ((window("deny", "0 13 * * *", 10),), "", None),
        ((window("allow", "0 8 * * *", 10),), "", None),
        ((window("allow", "0 22 * * *", 1),), "allow window allowed is closed", "2026-06-01T22:00"),
        ((window("allow", "0 22 * * *", 1), window("allow", "0 11 * * *", 2)), "", None),
        ((window("allow", "0 8 * * *", 12), window("deny", "0 11 * * *", 3)), "deny window denyed is open", "2026-06-01T14:00"),
        ((window("deny", "0 8 * * *", 10), window("allow", "0 17 * * *", 2)), "deny window denyed is open", "2026-06-01T18:00"),
        ((window("deny", "0 11 * * *", 2), window("deny", "30 12 * * *", 2)), "deny window denyed is open", "2026-06-01T14:30"),
    ],
)
def test_changes_wait_for_denying_windows_to_close_and_an_allowing_one_to_open(
    windows: tuple[Window, ...], why: str, until: str | None
) -> None:
    now = utc("2026-06-01T12:00")
    assert closed_by(windows, now) == why
    if until:
        assert opens_at(windows, now) == utc(until)


def test_what_is_always_closed_is_looked_at_again_later() -> None:
    now, always = utc("2026-06-01T12:00"), window("deny", "0 * * * *", 2)
    again = opens_at((always,), now)
    assert again is not None
    assert now < again
    assert closed_by((always,), again)
    assert opens_at((window("allow", "0 0 31 2,4 *", 1),), now) is None


moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]
)
part = st.sampled_from(["*", "*/3", "1", "0-6/2"])
expressions = st.builds(
    lambda *parts: " ".join(parts),
    part,
    part,
    st.sampled_from(["*", "1", "*/5"]),
    part.filter(lambda one: one != "0-6/2"),
    part,
)


@given(expressions, zones, moments)
def test_nothing_strikes_between_the_last_strike_and_the_next(expression: str, zone: str, at: datetime) -> None:
    assert not cron_mistake(expression)
    schedule: Schedule = parse_schedule(expression, zone)
    last, following = schedule.last(at), schedule.next(at)
    assert last is not None
    assert following is not None
    assert last <= at < following
    assert schedule.next(last) == following
    assert schedule.last(following - timedelta(seconds=1)) == last
