"""What does a person read who looks at a world in memory? A scenario's stage, whose looks are the command line's verbs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from stage import SETTINGS, Stage

from reconciler.cli import diff, explain, history, resume, retry, status, suspend
from reconciler.cli.sight import Lookout
from reconciler.cli.times import coming, moment, span
from reconciler.drivers.memory import MemoryRuntime
from reconciler.load.loading import load
from reconciler.model.history import Overrule
from reconciler.ports import Clock, Gateway, Runtime, Source, Store
from reconciler.reading import Load


@dataclass(frozen=True, slots=True)
class Place:
    """A stage as the place where a verb works."""

    stage: Stage

    def source(self) -> Source:
        return self.stage.repository

    def load(self) -> Load:
        return partial(load, settings=SETTINGS)

    def store(self) -> Store:
        return self.stage.store

    def clock(self) -> Clock:
        return self.stage.clock

    def gateway(self, runtime: Runtime) -> Gateway:
        return self.stage.gateway

    def runtime(self) -> Runtime:
        return MemoryRuntime(self.stage.world)


class Reader(Stage):
    """Adds the reading verbs to a scenario's commands; each is a process of its own, which knows nothing of the others."""

    def do_status(self, *flags: str) -> Iterator[str]:
        """`status`, `status quiet`, `status json`."""
        sight = Lookout(Place(self)).sight()
        yield from (f"error: {trouble}" for trouble in sight.troubles)
        text = status.printed(sight, as_json="json" in flags, quiet="quiet" in flags)
        yield from _brief(text) if "json" in flags else text.splitlines()

    def do_diff(self) -> Iterator[str]:
        yield from diff.printed(diff.look(Lookout(Place(self)))).splitlines()

    def do_explain(self, service: str) -> Iterator[str]:
        lookout = Lookout(Place(self))
        sight = lookout.sight()
        yield from (f"error: {trouble}" for trouble in sight.troubles)
        yield from explain.lines(explain.explain(lookout, sight, service), sight.now)

    def do_history(self, *flags: str) -> Iterator[str]:
        """`history`, `history all`, `history verbose`."""
        turns = [turn for turn in self.store.turns() if "all" in flags or history.is_news(turn)]
        yield from history.listed(turns, self.clock.now(), verbose="verbose" in flags).splitlines()

    def do_at(self, time: str) -> Iterator[str]:
        """`history --at TIME`."""
        yield from history.then_lines(history.at(self.store.turns(), moment(time, self.clock.now())))

    def do_retry(self, *services: str) -> Iterator[str]:
        yield from retry.retry(self.store, self.clock.now(), services, everything=not services).splitlines()

    def do_suspend(self, *targets: str, reason: str = "", until: str = "", length: str = "") -> Iterator[str]:
        """`suspend shop/web reason=… until=18:00 length=2h`; `suspend` alone is `--all`."""
        now = self.clock.now()
        end = coming(until, now) if until else now + span(length) if length else None
        told = suspend.suspend(self.store, now, targets, everything=not targets, reason=reason, until=end)
        yield from told.splitlines()

    def do_override(self, stack: str, *reason: str) -> None:
        """`apply STACK --override-windows REASON`, but for the applying."""
        word = Overrule(self.repository.fetch().id, " ".join(reason))
        self.store.change(lambda history: replace(history, overruled={**history.overruled, stack: word}))

    def do_resume(self, *targets: str) -> Iterator[str]:
        yield from resume.resume(self.store, self.clock.now(), targets, everything=not targets).splitlines()


def _brief(document: str) -> Iterator[str]:
    """The parts of a status document that are not tried elsewhere, a line each."""
    yield from (f"{name}: {json.dumps(value)}" for name, value in json.loads(document).items())
