"""Carry out a plan. No decisions here: the plan already made them.

Every action is one call, made as soon as what it needs is done. A failed action skips what depends on it and nothing
else. What takes long (a pull, a slow stop) goes on in the background while the loop turns; its group is busy meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue

from reconciler.errors import ReconcilerError
from reconciler.model.masking import masked
from reconciler.model.plan import (
    Action,
    CreateInstance,
    Deregister,
    Plan,
    PullImage,
    Register,
    StartInstance,
    Step,
    TrafficChange,
)
from reconciler.model.status import Outcome
from reconciler.ports import Clock, Gateway, Registries, Registry, Runtime

Progress = Callable[[Action, Outcome | None], None]
"""Called when an action begins (None) and when it ends; from the applying thread only."""

Ended = tuple[Action, Outcome]
"""An action and what became of it."""

PULLS = 3
WORKERS = 32


class Applier:
    """Walks plans. `threads` False makes every call in the caller's thread, in the plan's order: for the virtual world."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        *,
        gateway: Gateway | None = None,
        threads: bool = True,
        progress: Progress | None = None,
        registries: Registries | None = None,
    ) -> None:
        self._runtime = runtime
        self._gateway = gateway
        self._registries = registries or _no_registry
        self._clock = clock
        self._progress = progress or (lambda action, outcome: None)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="apply") if threads else None
        # The engine's own work bounds starts: wider than twice its cores only adds load (performance.md §1).
        self._narrow: Mapping[type, AbstractContextManager[object]] = {
            StartInstance: threading.BoundedSemaphore(2 * (os.cpu_count() or 1)),
            CreateInstance: threading.BoundedSemaphore(2 * (os.cpu_count() or 1)),
            PullImage: threading.BoundedSemaphore(PULLS),
        }
        self._todo: dict[str, Action] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._followers: dict[str, list[str]] = {}
        self._running: dict[Future[Outcome], Action] = {}
        self._ended: SimpleQueue[Future[Outcome]] = SimpleQueue()
        self._stopping = False
        self._secrets: frozenset[str] = frozenset()

    @property
    def busy(self) -> frozenset[str]:
        """Groups with actions that are not done yet: the planner leaves them alone."""
        return frozenset(action.group for action in self.unfinished)

    @property
    def unfinished(self) -> tuple[Action, ...]:
        """Actions that were begun or wait for their turn."""
        return (*self._todo.values(), *self._running.values())

    def apply(
        self, plan: Plan, patience_seconds: float | None = None, secrets: frozenset[str] = frozenset()
    ) -> tuple[Ended, ...]:
        """Carry out a plan beside what is still in flight.

        Returns what ended by the time all is done, or the patience (seconds; None: endless) is at an end. No error in it
        holds one of the secrets, whatever the engine repeated.
        """
        self._secrets = secrets if not self._running else self._secrets | secrets
        self._todo.update({action.id: action for action in plan.actions})
        if self._pool is None:
            return tuple(self._one_by_one())
        for action in plan.actions:
            for need in action.needs:
                self._followers.setdefault(need, []).append(action.id)
        return tuple(self._together(patience_seconds))

    def collect(self, patience_seconds: float = 0.0) -> tuple[Ended, ...]:
        """Return what has ended since the last call."""
        return tuple(self._together(patience_seconds)) if self._pool else ()

    def stop(self, patience_seconds: float) -> tuple[Ended, ...]:
        """Begin nothing more; give the calls in flight this long to end."""
        self._stopping = True
        self._todo.clear()
        outcomes = self.collect(patience_seconds)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        return outcomes

    # --- one by one --------------------------------------------------------------------------------------------------

    def _one_by_one(self) -> Iterator[Ended]:
        for action in list(self._todo.values()):
            del self._todo[action.id]
            outcome = self._skipped(action) or self._perform(action)
            self._outcomes[action.id] = outcome
            yield action, outcome
        self._outcomes.clear()

    # --- together ----------------------------------------------------------------------------------------------------

    def _together(self, patience_seconds: float | None) -> Iterator[Ended]:
        until = None if patience_seconds is None else self._clock.monotonic() + patience_seconds
        yield from self._submit(tuple(self._todo))
        while self._running:
            left = None if until is None else max(0.0, until - self._clock.monotonic())
            try:
                future = self._ended.get(timeout=left)
            except Empty:
                return
            action, outcome = self._running.pop(future), future.result()
            self._outcomes[action.id] = outcome
            self._progress(action, outcome)
            yield action, outcome
            yield from self._submit(self._followers.get(action.id, ()))
        if not self._todo:
            self._outcomes.clear()
            self._followers.clear()

    def _submit(self, ids: Iterable[str]) -> Iterator[Ended]:
        """Begin those of these actions whose needs are done; skip those with a failed need, and whoever needs them."""
        asked = deque(ids)
        while asked and not self._stopping:
            action = self._todo.get(asked.popleft())
            if action is None:
                continue
            if skipped := self._skipped(action):
                del self._todo[action.id]
                self._outcomes[action.id] = skipped
                self._progress(action, skipped)
                yield action, skipped
                asked.extend(self._followers.get(action.id, ()))
            elif all(need in self._outcomes for need in action.needs):
                del self._todo[action.id]
                self._begin(action)

    def _begin(self, action: Action) -> None:
        assert self._pool is not None
        self._progress(action, None)
        future = self._pool.submit(self._perform, action)
        self._running[future] = action
        future.add_done_callback(self._ended.put)

    # --- one action --------------------------------------------------------------------------------------------------

    def _skipped(self, action: Action) -> Outcome | None:
        for need in action.needs:
            outcome = self._outcomes.get(need)
            if outcome is not None and not outcome.done:
                return Outcome(action.id, skipped=True)
        return None

    def _perform(self, action: Action) -> Outcome:
        with self._width(action.change):
            began = self._clock.monotonic()
            error = ""
            try:
                self._do(action.change)
            except ReconcilerError as problem:
                said = masked(str(problem), self._secrets)
                error = f"{said} ({problem.hint})" if problem.hint else said
            return Outcome(action.id, error, seconds=self._clock.monotonic() - began)

    def _do(self, step: Step) -> None:
        if isinstance(step, Register):
            self._registries(step.url).register(step.entry)
        elif isinstance(step, Deregister):
            self._registries(step.url).deregister(step.entry)
        elif isinstance(step, TrafficChange):
            assert self._gateway is not None, "no plan of a loop without a gateway changes one"
            self._gateway.do(step)
        else:
            self._runtime.do(step)

    def _width(self, change: Step) -> AbstractContextManager[object]:
        return self._narrow.get(type(change), nullcontext())


def _no_registry(url: str) -> Registry:
    raise ValueError(f"nobody was to work on the registry {url}")
