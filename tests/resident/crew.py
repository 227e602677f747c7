"""Who is at work on an engine where reconcilers run in containers: a process for each container, as long as that lives.

A process that is killed takes its container down with it, and the engine starts that again as its restart policy says.
"""

from __future__ import annotations

from collections.abc import Callable

from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.drivers.memory import Killed
from reconciler.drivers.memory.container import Container
from reconciler.model import labels
from reconciler.model.observed import Phase
from reconciler.model.plan import RemoveInstance, StopInstance
from reconciler.model.status import Report
from reconciler.plan.keeper import keeper_of
from reconciler.resident import Resident

SERVICE = "self"
FILES = """
services:
  self:
    image: self:{version}
    restart: unless-stopped
    volumes: [state:/var/lib/reconciler]
  web:
    image: web:{version}
    restart: unless-stopped
volumes:
  state:
"""
STEP_SECONDS = 1.0
MOST_STEPS = 900


class Crew:
    """The reconcilers of an environment whose Git repository asks for one of them, besides another service.

    idle     images whose process runs and never comes round
    doomed   images whose process ends as soon as it is to work
    """

    def __init__(self, place: MemoryPlace, *, idle: str = "", doomed: str = "") -> None:
        self.place = place
        self.idle, self.doomed = idle, doomed
        self.told: list[Report] = []
        self._processes: dict[tuple[str, int], Resident] = {}
        self._known: dict[str, tuple[int, str]] = {}
        for version in (1, 2, 3):
            place.world.image(f"self:{version}", health_after=2)
        place.world.image("web:3", health_after=3)

    def found(self) -> None:
        """Have a reconciler beside the engine start the first one, and go."""
        self.push(1)
        first = Resident(self.place.reconciler(), lambda report: None, "somebody's laptop")
        for _ in range(20):
            first.reconciler.refresh()
            first.turn(("start",))
            self.place.pass_time(STEP_SECONDS)
        self.place.runtime.release_lease(ENVIRONMENT, "somebody's laptop")
        self.until(lambda: self.at_work() == self.selves()[0].id)

    def push(self, version: int | str) -> None:
        self.place.push_files({"compose.yaml": "name: shop\n" + FILES.format(version=version)})

    def until(self, met: Callable[[], bool]) -> None:
        """Live until something holds."""
        for _ in range(MOST_STEPS):
            if met():
                return
            self.step()
        raise AssertionError(f"not within {MOST_STEPS * STEP_SECONDS:g} s: {self.seen()}")

    def rest(self, seconds: float = 200.0) -> None:
        """Live on for a while."""
        for _ in range(int(seconds / STEP_SECONDS)):
            self.step()

    def step(self) -> None:
        """Let every process come round once."""
        for container in self.selves():
            # Whoever came first may have stopped or removed this one.
            if container.phase is Phase.RUNNING and container.config["Image"] != self.idle:
                self._come_round(container)
        self.place.pass_time(STEP_SECONDS)

    def selves(self) -> list[Container]:
        """Return the reconcilers' containers, oldest first."""
        found = map(self.place.world.container, self.place.world.names())
        return sorted(
            (one for one in found if one.labels.get(labels.SERVICE) == SERVICE), key=lambda one: (one.created, one.name)
        )

    def at_work(self) -> str:
        """Return the id of the container whose process has the lease, "" for none."""
        return keeper_of(self.place.runtime.observe(ENVIRONMENT), ENVIRONMENT)

    def is_done(self, version: int, web: int | None = None) -> bool:
        """Say whether all is as Git asks: one reconciler, of this version, at work under its own name."""
        return (
            self.seen() == [("shop-self-1", f"self:{version}", True)]
            and self.at_work() == self.selves()[0].id
            and self.place.running().get("shop-web-1") == f"web:{web or version}"
        )

    def seen(self) -> list[tuple[str, str, bool]]:
        return [(one.name, str(one.config["Image"]), one.phase is Phase.RUNNING) for one in self.selves()]

    def _come_round(self, container: Container) -> None:
        if container.config["Image"] == self.doomed and self.at_work() == container.id:
            self.place.world.dies(container.id, 1)
            return
        process = self._process(container)
        try:
            process.reconciler.refresh()
            process.turn(self._heard(process))
        except Killed:
            self.place.world.dies(container.id, 137)

    def _heard(self, process: Resident) -> tuple[str, ...]:
        """What woke it: something happened on the engine or in Git since it came round last."""
        wanted = process.reconciler.wanted
        now = len(self.place.world.events), wanted.revision.id if wanted else ""
        before, self._known[process.holder] = self._known.get(process.holder), now
        return () if before == now else ("something",)

    def _process(self, container: Container) -> Resident:
        run = (container.id, container.run)
        if run not in self._processes:
            name = f"{container.name}:{container.run}:00 container={container.id}"
            self._processes[run] = Resident(self.place.reconciler(), self._note(container.id), name)
        return self._processes[run]

    def _note(self, own: str) -> Callable[[Report], None]:
        def note(report: Report) -> None:
            self.told.append(report)
            for action in report.plan.actions if report.plan else ():
                if isinstance(action.change, StopInstance | RemoveInstance):
                    assert action.change.target.id != own, f"{action.id}: nobody removes itself"

        return note
