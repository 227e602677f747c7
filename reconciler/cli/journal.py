"""What does a resident reconciler say of its turns? One that only waits on says nothing.

As JSON it writes one event a line, in ASCII; cli/lines.py has the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.cli.printing import say
from reconciler.load.text import printable
from reconciler.model.status import Health, Operation
from reconciler.plan.render import SYMBOLS, reason_text, telling

if TYPE_CHECKING:
    from reconciler.errors import ReconcilerError
    from reconciler.model.plan import Group, Plan
    from reconciler.model.status import Report
    from reconciler.ports import Clock, Lease

MOST_WAITS = 3
"""So many waits are named in a line; a first deployment has as many as it has services."""
MOST_SHOWN = 1000
"""So many reasons are remembered as said."""


class Level(StrEnum):
    """How much an event matters, from least to most."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Event(StrEnum):
    """What a line is about: a turn, somebody else's lease, or what keeps the first turn from being made."""

    TURN = "turn"
    LEASE = "lease"
    TROUBLE = "trouble"


class Journal:
    """Writes a line or a few for each turn that did something or has news, if it matters as much as `least`."""

    def __init__(self, out: TextIO, clock: Clock, *, as_json: bool = False, least: Level = Level.INFO) -> None:
        self._out = out
        self._clock = clock
        self._as_json = as_json
        self._least = least
        self._last: tuple[object, ...] = ()
        self._shown: set[tuple[object, ...]] = set()

    def tell(self, report: Report) -> None:
        """Write the turn down if it is worth it."""
        news = _news(report)
        worked = any(one.done or one.error for one in report.outcomes)
        if not worked and news == self._last:
            return
        self._last = news
        message = report.error or _headline(report)
        self._write(_level(report), Event.TURN, report.finished, message, _details(report), self._lines(report))

    def tell_waiting(self, lease: Lease) -> None:
        """Write down that somebody else is at work."""
        text = f"{lease.holder} holds the lease until {lease.expires:%H:%M:%S} UTC; waiting for it"
        details = {"holder": lease.holder, "until": lease.expires.isoformat()}
        self._write(Level.INFO, Event.LEASE, self._clock.now(), text, details, [text])

    def tell_trouble(self, trouble: ReconcilerError) -> None:
        """Write down what keeps the first turn from being made."""
        lines = [f"error: {trouble}", *([f"hint: {trouble.hint}"] if trouble.hint else [])]
        details = {"error": str(trouble), "hint": trouble.hint}
        self._write(Level.ERROR, Event.TROUBLE, self._clock.now(), str(trouble), details, lines)

    def _write(
        self, level: Level, event: Event, at: datetime, message: str, details: dict[str, Any], lines: Iterable[str]
    ) -> None:
        order = list(Level)
        if order.index(level) < order.index(self._least):
            return
        if self._as_json:
            common = {"at": at.isoformat(), "level": level, "event": event, "message": message}
            say(json.dumps({**common, **details}) + "\n", self._out)
        else:
            say("".join(f"{printable(line)}\n" for line in lines), self._out)

    def _lines(self, report: Report) -> Iterator[str]:
        revision = f" {report.revision.short}" if report.revision else ""
        yield f"{_time(report.finished)} [{report.woke}]{revision} {_headline(report)}"
        if report.plan is not None:
            acting = {action.group for action in report.plan.actions}
            yield from (f"  {line}" for group in report.plan.groups if group.key in acting for line in self._group(group))
            yield from (f"  blocked [{one.code}] {one.message}" for one in report.plan.blocked)
            for one in report.plan.failures:
                yield f"  failed {one.service}: {one.message}"
                yield from (f"    | {line}" for line in one.last_words)
        yield from (f"  failed {one.action}: {one.error}" for one in report.outcomes if one.error)
        if report.error:
            yield f"  error: {report.error}"
        if report.hint:
            yield f"  hint: {report.hint}"

    def _group(self, group: Group) -> Iterator[str]:
        """A rollout takes many turns: its reasons are said in the first."""
        yield f"{SYMBOLS[group.verb]} {group.key}  {group.title}"
        said = (group.key, group.verb, group.reasons)
        if said not in self._shown:
            self._shown = {*self._shown, said} if len(self._shown) < MOST_SHOWN else {said}
            yield from (f"    {reason_text(reason)}" for reason in telling(group))


def _news(report: Report) -> tuple[object, ...]:
    """What a person would want to hear again once it changes; what merely waits on is none."""
    plan = report.plan
    held = tuple(sorted((one.group, one.code, one.message) for one in plan.blocked)) if plan else ()
    healths = tuple((one.name, one.health) for stack in report.stacks for one in stack.services)
    applied = report.revision is not None and report.applied == report.revision.id
    return report.operation, report.revision and report.revision.id, applied, held, report.error, healths


def _headline(report: Report) -> str:
    done = sum(one.done for one in report.outcomes)
    failed = sum(bool(one.error) for one in report.outcomes)
    counts = [f"{count} {word}" for count, word in ((done, "done"), (failed, "failed")) if count]
    return ", ".join(counts) or _state(report)


def _state(report: Report) -> str:
    if report.plan is None:
        return "no plan"
    if report.revision is None or report.applied != report.revision.id:
        return _pending(report.plan)
    services = [one for stack in report.stacks for one in stack.services]
    unwell = [f"{one.stack}/{one.name} is {one.health}" for one in services if one.health is not Health.HEALTHY]
    return "; ".join(("as Git asks", *unwell))


def _pending(plan: Plan) -> str:
    waits = [f"{one.group} waits until {one.on}" for one in plan.waiting]
    if waits:
        return "; ".join(waits[:MOST_WAITS]) + (f"; and {len(waits) - MOST_WAITS} more" if len(waits) > MOST_WAITS else "")
    return "blocked" if plan.blocked else "under way"


def _level(report: Report) -> Level:
    """What waits for a person or is not well is a warning; what is missing is on its way."""
    if report.error or report.operation is not Operation.SUCCEEDED:
        return Level.ERROR
    unwell = any(one.health is Health.DEGRADED for stack in report.stacks for one in stack.services)
    waits = report.plan is not None and (report.plan.blocked or report.plan.failures)
    return Level.WARNING if unwell or waits else Level.INFO


def _details(report: Report) -> dict[str, Any]:
    plan = report.plan
    return {
        "woke": report.woke,
        "operation": report.operation.value,
        "revision": report.revision.id if report.revision else "",
        "applied": report.applied,
        "done": [one.action for one in report.outcomes if one.done],
        "failed": [{"action": one.action, "error": one.error} for one in report.outcomes if one.error],
        "groups": [_plain(group) for group in plan.groups] if plan else [],
        "blocked": [{"group": one.group, "code": one.code, "message": one.message} for one in plan.blocked] if plan else [],
        "error": report.error,
        "hint": report.hint,
    }


def _plain(group: Group) -> dict[str, Any]:
    reasons = [reason_text(reason) for reason in group.reasons]
    return {"key": group.key, "verb": group.verb.value, "title": group.title, "reasons": reasons}


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S}"
