"""What do `suspend` and `resume` refuse?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from reconciler.cli.resume import resume
from reconciler.cli.suspend import suspend
from reconciler.drivers.memory import MemoryStore
from reconciler.errors import UsageError
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
WEB = ServiceStatus("shop", "web", Sync.SYNCED, Health.HEALTHY, 1, 1, 1)
SHOP = StackStatus("shop", Sync.SYNCED, Health.HEALTHY, (WEB,))
TURN = Turn(NOW, NOW, "command", Operation.SUCCEEDED, "a" * 40, "", "", "a" * 40, "", "", (), (SHOP,), "", "")


@pytest.fixture
def store() -> MemoryStore:
    """A history that has seen one service."""
    store = MemoryStore()
    store.record(TURN)
    return store


@pytest.mark.parametrize(
    ("say", "message", "hint"),
    [
        (lambda store: suspend(store, NOW, ["shop/wep"]), "no turn has seen 'shop/wep'", "shop/web"),
        (lambda store: suspend(store, NOW, []), "name stacks or services, or say --all", "known: shop, shop/web"),
        (lambda store: suspend(store, NOW, ["shop"], everything=True), "name stacks or services, or say --all", "known: shop"),
        (
            lambda store: suspend(store, NOW, ["shop"], until=NOW),
            "2026-11-23 12:30:00Z has passed",
            "it is 2026-11-23 12:30:00Z",
        ),
        (lambda store: resume(store, NOW, ["chop"]), "no turn has seen 'chop'", "shop"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    store: MemoryStore, say: Callable[[MemoryStore], str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        say(store)
    assert message in str(refused.value)
    assert hint in refused.value.hint
    assert not store.history().suspended


def test_everything_can_be_suspended_before_the_first_turn() -> None:
    store = MemoryStore()
    assert "everything: suspended until `reconciler resume`" in suspend(store, NOW, [], everything=True)


def test_a_reason_is_one_line(store: MemoryStore) -> None:
    assert "(disk swap)" in suspend(store, NOW, ["shop"], reason="disk\n  swap")


def test_resume_all_takes_back_every_name(store: MemoryStore) -> None:
    suspend(store, NOW, ["shop", "shop/web"])
    resume(store, NOW, [], everything=True)
    assert not store.history().suspended
