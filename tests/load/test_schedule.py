"""Which minutes does a cron expression mean, and which expression can never strike?"""

from __future__ import annotations

import pytest

from reconciler.load.schedule import cron_mistake, parse_schedule, time_zone_known

HOURS = tuple(range(24))
MINUTES = tuple(range(60))
DAYS = tuple(range(1, 32))
MONTHS = tuple(range(1, 13))
WEEK = tuple(range(7))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("* * * * *", (MINUTES, HOURS, DAYS, MONTHS, WEEK)),
        ("0 8 1 1 1", ((0,), (8,), (1,), (1,), (1,))),
        ("5,3,5 0-2 * * *", ((3, 5), (0, 1, 2), DAYS, MONTHS, WEEK)),
        ("*/20 22-23 * * *", ((0, 20, 40), (22, 23), DAYS, MONTHS, WEEK)),
        ("10-20/5 5/10 * * *", ((10, 15, 20), (5, 15), DAYS, MONTHS, WEEK)),
        ("0 0 */10 */6 */3", ((0,), (0,), (1, 11, 21, 31), (1, 7), (0, 3, 6))),
        ("0 0 * jan,DEC mon-fri", ((0,), (0,), DAYS, (1, 12), (1, 2, 3, 4, 5))),
        ("0 0 * feb-apr sun", ((0,), (0,), DAYS, (2, 3, 4), (0,))),
        ("0 0 * * 5-7", ((0,), (0,), DAYS, MONTHS, (0, 5, 6))),
        ("59 23 31 12 7", ((59,), (23,), (31,), (12,), (0,))),
    ],
)
def test_an_expression_means(text: str, fields: tuple[tuple[int, ...], ...]) -> None:
    assert cron_mistake(text) == ""
    schedule = parse_schedule(text, "Europe/Berlin")
    assert (schedule.minutes, schedule.hours, schedule.days, schedule.months, schedule.weekdays) == fields
    assert schedule.timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "either"),
    [("0 0 1 * 1", True), ("0 0 * * 1", False), ("0 0 1 * *", False), ("0 0 */2 * 1", False), ("0 0 1 * */2", False)],
)
def test_of_a_day_and_a_weekday_either_is_enough_where_both_are_named(text: str, either: bool) -> None:
    assert parse_schedule(text, "UTC").either_day is either


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("0 8 * *", "a schedule has five fields (minute, hour, day of month, month, day of week), here are 4"),
        ("0 8 * * * *", "a schedule has five fields (minute, hour, day of month, month, day of week), here are 6"),
        ("60 8 * * *", '"60" is no minute: it goes from 0 to 59'),
        ("0 24 * * *", '"24" is no hour: it goes from 0 to 23'),
        ("0 8 0 * *", '"0" is no day of month: it goes from 1 to 31'),
        ("0 8 * 13 *", '"13" is no month: it goes from 1 to 12'),
        ("0 8 * mon *", '"mon" is no month: it goes from 1 to 12'),
        ("0 8 * * 8", '"8" is no day of week: it goes from 0 to 7'),
        ("0 8 * * 1,x", '"x" is no day of week: it goes from 0 to 7'),
        ("-1 8 * * *", '"-1" is no minute'),
        ("001 8 * * *", '"001" is no minute: it goes from 0 to 59'),
        ("٣ 8 * * *", '"٣" is no minute: it goes from 0 to 59'),
        ("5-3 8 * * *", '"5-3" runs backwards'),
        ("0 8 * dec-jan *", '"dec-jan" runs backwards'),
        ("*/0 8 * * *", '"*/0": a step is at least 1'),
        ("0 0 31 2 *", "Feb never has a day 31"),
        ("0 0 30 feb *", "Feb never has a day 30"),
        ("0 0 31 4 *", "Apr never has a day 31"),
    ],
)
def test_what_can_never_strike_is_said(text: str, mistake: str) -> None:
    assert cron_mistake(text) == mistake


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 31 * *", "0 0 31 2 1", "0 0 30 4 *", "0 0 31 1 *", "5-5 0 * * *"])
def test_what_strikes_some_day_is_accepted(text: str) -> None:
    assert cron_mistake(text) == ""


@pytest.mark.parametrize(
    ("name", "known"),
    [("UTC", True), ("Europe/Berlin", True), ("Europe/Nowhere", False), ("", False), ("/etc", False), ("..", False)],
)
def test_a_time_zone_is_one_of_the_database(name: str, known: bool) -> None:
    assert time_zone_known(name) is known
