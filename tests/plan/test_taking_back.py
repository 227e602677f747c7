"""What counts while a version is taken back, and what do commits make of that?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.model.desired import DesiredState, Environment, Service, Stack, SyncMode
from reconciler.model.history import HashKey, History, Rollback
from reconciler.model.source import Revision
from reconciler.plan.rollback import TakenBack, held, note, take_back

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def version(web: int, api: int = 1, **settings: object) -> DesiredState:
    """Return a revision with these images, named after them."""
    services = tuple(Service("shop", "shop", name, f"{name}:{tag}", {}) for name, tag in (("api", api), ("web", web)))
    stack = replace(Stack("shop", "shop", "shop", services), **settings)  # type: ignore[arg-type]
    return DesiredState(Revision(f"{web}.{api}", "main", NOW), Environment("here"), (stack,))


OLD, BAD = version(1), version(2)
VERSIONS = {one.revision.id: one for one in (OLD, BAD)}
ROLLBACK = Rollback(OLD.revision.id, BAD.revision.id, ("shop/web",), "slow", NOW)


def told(target: str = "shop", rollback: Rollback = ROLLBACK) -> History:
    return History(HashKey("key", b"secret"), rollbacks={target: rollback})


def images(desired: DesiredState | None) -> list[str]:
    assert desired is not None
    return [service.image for stack in desired.stacks for service in stack.services]


def became(taken: TakenBack, history: History) -> dict[str, Rollback]:
    return dict(note(history, taken.news).rollbacks)


def test_the_older_version_counts_and_is_the_last_good_one() -> None:
    taken = take_back(BAD, BAD, told(), VERSIONS)
    assert (images(taken.desired), images(taken.previous)) == (["api:1", "web:1"], ["api:1", "web:1"])
    assert (taken.desired.revision.id, dict(taken.news)) == (BAD.revision.id, {})
    (kept,) = held(taken.history)
    assert (kept.key, kept.what, kept.services) == ("shop", "version 2.1 of web", frozenset({"shop/web"}))
    assert kept.why == "rolled back to 1.1: slow"


def test_a_service_goes_back_without_its_siblings() -> None:
    newest = version(2, api=5)
    assert images(take_back(newest, newest, told("shop/web"), VERSIONS).desired) == ["api:5", "web:1"]


def test_settings_are_no_version() -> None:
    newest = version(2, sync=SyncMode.MANUAL, needs=("data",))
    stack = take_back(newest, None, told(), VERSIONS).desired.stack("shop")
    assert (stack.sync, stack.needs, stack.services) == (SyncMode.MANUAL, ("data",), OLD.stack("shop").services)


@pytest.mark.parametrize("newest", [version(3), version(2, api=2), replace(BAD, stacks=())])
def test_a_commit_that_asks_for_another_version_ends_it(newest: DesiredState) -> None:
    history = told()
    taken = take_back(newest, BAD, history, VERSIONS)
    assert (taken.desired, held(taken.history), became(taken, history)) == (newest, (), {})


def test_the_commit_that_reverts_it_makes_it_land_until_that_is_applied() -> None:
    reverted, history = replace(OLD, revision=replace(OLD.revision, id="reverted")), told()
    taken = take_back(reverted, BAD, history, VERSIONS)
    assert (images(taken.previous), held(taken.history)) == (["api:1", "web:1"], ())
    landed = replace(history, rollbacks=became(taken, history))
    assert landed.rollbacks["shop"].landed
    assert became(take_back(reverted, reverted, landed, VERSIONS), landed) == {}
    assert became(take_back(BAD, BAD, landed, VERSIONS), landed) == {}, "the newer version again is a word of its own"


def test_a_version_that_was_not_read_is_waited_for() -> None:
    taken = take_back(BAD, BAD, told(), {})
    assert (taken.desired, taken.unread) == (BAD, frozenset({"shop/api", "shop/web"}))
    assert take_back(BAD, BAD, told("shop/web"), {}).unread == frozenset({"shop/web"})


def test_what_cannot_be_compared_stands() -> None:
    only_old = {OLD.revision.id: OLD}
    assert images(take_back(version(3), BAD, told(), only_old).desired) == ["api:1", "web:1"]


def test_what_somebody_said_since_is_not_forgotten() -> None:
    news = take_back(version(3), BAD, told(), VERSIONS).news
    again = told(rollback=replace(ROLLBACK, reason="said again"))
    assert note(again, news) == again
