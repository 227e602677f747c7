"""What counts of a stack while its newest version waits for `apply STACK`, and of the rest of the environment meanwhile?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory_place import MemoryPlace

from reconciler.drivers.memory.repository import MemoryFiles, Repository
from reconciler.errors import UsageError
from reconciler.loop import Reconciler
from reconciler.model.source import Revision
from reconciler.model.status import Report

STACKS = "{front: {path: front}, data: {path: data, sync: manual}}"
CHECK = "healthcheck: {test: [CMD, check], interval: 2s, retries: 2}"


class Shop(MemoryPlace):
    """A stack that goes with Git, and one that waits for a person. Both have one service `web`."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = self.remote = Forgetful(self.clock)

    def asks(self, front: str, data: str, *, stacks: str = STACKS) -> Revision:
        files: dict[str, str | None] = {"reconciler.yaml": f"api: v1\nname: shop\nstacks: {stacks}\n"}
        for stack, image in (("front", front), ("data", data)):
            files[f"{stack}/compose.yaml"] = f"services: {{web: {{image: '{image}', {CHECK}}}}}\n"
        return self.push_files(files)

    def release(self) -> None:
        """Say `apply data`."""
        newest = self.repository.fetch().id
        self.store.change(lambda history: replace(history, manual={**history.manual, "data": newest}))

    def settle(self, reconciler: Reconciler) -> Report:
        """Turn until nothing is left to do or to wait for."""
        for _ in range(40):
            reconciler.refresh()
            report = reconciler.turn()
            if report.plan and not (report.plan.actions or report.plan.waiting):
                return report
            self.pass_time(2)
        raise AssertionError(f"it never comes to rest: {report}")

    def images(self) -> tuple[str, str]:
        found = self.running()
        return found.get("front-web-1", ""), found.get("data-web-1", "")


class Forgetful(Repository):
    """A repository that has lost a revision."""

    lost = ""

    def files(self, revision: str) -> MemoryFiles:
        if revision == self.lost:
            raise UsageError(f"there is no revision {revision!r}")
        return super().files(revision)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def reconciler(shop: Shop) -> Reconciler:
    """A reconciler that has brought web:1 of both stacks."""
    shop.asks("web:1", "web:1")
    shop.release()
    reconciler = shop.reconciler()
    shop.settle(reconciler)
    assert shop.images() == ("web:1", "web:1")
    return reconciler


def test_a_commit_that_does_not_change_a_stack_needs_no_release_of_it(shop: Shop, reconciler: Reconciler) -> None:
    revision = shop.asks("web:2", "web:1")
    report = shop.settle(reconciler)
    assert (shop.images(), report.applied) == (("web:2", "web:1"), revision.id)
    assert report.plan is not None
    assert report.plan.withheld == ()


def test_a_stack_that_waits_keeps_no_revision_from_counting_as_applied(shop: Shop, reconciler: Reconciler) -> None:
    revision = shop.asks("web:2", "web:2")
    report = shop.settle(reconciler)
    assert (shop.images(), report.applied) == (("web:2", "web:1"), revision.id)
    assert {stack.name: stack.sync.value for stack in report.stacks} == {"front": "Synced", "data": "OutOfSync"}
    shop.asks("web:sick", "web:2")
    shop.settle(reconciler)
    assert shop.images() == ("web:2", "web:1"), "it falls back to the newest good version, and the other goes on waiting"


@pytest.mark.parametrize("restarts", [False, True])
def test_what_waits_is_healed_in_the_version_that_came_in_last(shop: Shop, reconciler: Reconciler, restarts: bool) -> None:
    for front in ("web:2", "web:1", "web:2"):
        shop.asks(front, "web:2")
        shop.settle(reconciler)
    if restarts:
        reconciler = shop.reconciler()
    shop.world.remove("data-web-1")
    shop.settle(reconciler)
    assert shop.images() == ("web:2", "web:1")


def test_what_is_released_late_is_an_update_and_falls_back_when_it_fails(shop: Shop, reconciler: Reconciler) -> None:
    shop.asks("web:2", "web:sick")
    shop.settle(reconciler)
    shop.release()
    reconciler.refresh()
    report = reconciler.turn()
    assert report.plan is not None
    assert [group.verb for group in report.plan.groups] == ["update"]
    shop.settle(reconciler)
    assert shop.images() == ("web:2", "web:1")
    revision = shop.asks("web:2", "web:2")
    assert shop.settle(reconciler).applied != revision.id or shop.images() == ("web:2", "web:1")
    shop.release()
    assert shop.settle(reconciler).applied == revision.id
    assert shop.images() == ("web:2", "web:2")


def test_a_release_is_not_taken_back_by_the_commit_after_it(shop: Shop, reconciler: Reconciler) -> None:
    shop.asks("web:sick", "web:2")
    shop.release()
    shop.settle(reconciler)
    assert shop.images()[1] == "web:2"
    revision = shop.asks("web:1", "web:2")
    assert shop.settle(reconciler).applied == revision.id
    assert shop.images() == ("web:1", "web:2")


def test_a_stack_that_goes_with_git_again_is_no_longer_kept_back(shop: Shop, reconciler: Reconciler) -> None:
    shop.asks("web:1", "web:2")
    shop.settle(reconciler)
    revision = shop.asks("web:1", "web:2", stacks=STACKS.replace(", sync: manual", ""))
    assert shop.settle(reconciler).applied == revision.id
    assert shop.images() == ("web:1", "web:2")
    history = shop.store.history()
    assert (history.manual, history.behind) == ({}, {})


def test_a_closed_window_holds_what_is_released_late(shop: Shop, reconciler: Reconciler) -> None:
    window = "windows: {never: {kind: deny, schedule: '0 0 1 1 *', duration: 240h}}"
    shop.asks("web:1", "web:2", stacks=STACKS.replace("sync: manual", f"sync: manual, {window}"))
    shop.settle(reconciler)
    shop.release()
    shop.settle(reconciler)
    assert shop.images() == ("web:1", "web:1")


def test_only_the_versions_that_something_goes_by_are_held_in_the_source(shop: Shop, reconciler: Reconciler) -> None:
    for number in range(4):
        shop.asks("web:2" if number % 2 else "web:1", "web:2")
        shop.settle(reconciler)
    held = {id for name, id in shop.repository.kept.items() if name.startswith("version-")}
    assert held == shop.store.history().named
    assert len(held) == 1


def test_a_version_that_cannot_be_read_is_said_and_the_stack_left_alone(shop: Shop, reconciler: Reconciler) -> None:
    shop.asks("web:2", "web:2")
    shop.settle(reconciler)
    shop.asks("web:1", "web:2")
    waits = shop.remote.lost = shop.store.history().behind["data"]
    report = shop.settle(shop.reconciler())
    assert report.error == f"data waits in version {waits[:7]}, which cannot be read"
    assert shop.images() == ("web:1", "web:1")
