"""Leave something alone: `reconciler suspend`, and the word that `reconciler resume` takes back."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_state, place_of
from reconciler.cli.printing import say
from reconciler.cli.times import coming, span, stamp
from reconciler.cli.word import write_down
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.history import History, Suspension
    from reconciler.ports import Store

TURNS_SEEN = 20
"""How many turns back a stack or service may have been seen for the last time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_targets(parser, "what to leave alone")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for everybody who looks")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--until", metavar="TIME", help="go on by itself then: 18:00, 2026-11-24T08:00 (UTC)")
    ends.add_argument("--for", dest="length", metavar="DURATION", help="go on by itself after so long: 90m, 2h, 1d12h")
    configure_state(parser)


def configure_targets(parser: argparse.ArgumentParser, what: str) -> None:
    """Add what `suspend` and `resume` are told of."""
    parser.add_argument("targets", nargs="*", metavar="STACK|STACK/SERVICE", help=what)
    parser.add_argument("--all", action="store_true", help="the whole environment")


def run(args: argparse.Namespace) -> int:
    """Write it into the history. The next turn obeys; what is in flight now comes to its end."""
    place = place_of(args)
    now = place.clock().now()
    end = coming(args.until, now) if args.until else now + span(args.length) if args.length else None
    say(suspend(place.store(), now, args.targets, everything=args.all, reason=args.reason, until=end))
    return 0


def suspend(
    store: Store,
    now: datetime,
    targets: Iterable[str],
    *,
    everything: bool = False,
    reason: str = "",
    until: datetime | None = None,
) -> str:
    """Suspend targets and return what to tell. Raises UsageError for one that no turn has seen, and an end that has passed."""
    from reconciler.model.history import Suspension

    if until is not None and until <= now:
        raise UsageError(f"{stamp(until)} has passed", hint=f"it is {stamp(now)} now")
    names = named(targets, everything=everything, known=seen(store))
    told = Suspension(" ".join(reason.split()), now, until)
    store.change(lambda history: _with(history, dict.fromkeys(names, told)))
    write_down(store, now, "suspend", dict.fromkeys(names, _end(told)), reason=told.reason)
    return "".join(f"{line}\n" for line in _told(names, told))


def named(targets: Iterable[str], *, everything: bool, known: Iterable[str]) -> tuple[str, ...]:
    """Return the names that the history keeps. Raises UsageError where nothing, too much or something unknown is named."""
    from reconciler.model.history import EVERYTHING

    targets, known = tuple(dict.fromkeys(targets)), sorted(set(known))
    if everything == bool(targets):
        hint = f"known: {', '.join(known)}" if known else "nothing is known before the first turn; --all is always possible"
        raise UsageError("name stacks or services, or say --all", hint=hint)
    if everything:
        return (EVERYTHING,)
    for target in targets:
        if target not in known:
            from reconciler.load.excerpt import suggest

            raise UsageError(f"no turn has seen {target!r}", hint=suggest(target, known) or f"known: {', '.join(known)}")
    return targets


def seen(store: Store) -> Iterator[str]:
    """Yield the stacks and services that the last turns saw."""
    for turn in store.turns(TURNS_SEEN):
        for stack in turn.stacks:
            yield stack.name
            yield from (f"{stack.name}/{service.name}" for service in stack.services)


def shown(name: str) -> str:
    """Return a name of the history as a person reads it."""
    from reconciler.model.history import EVERYTHING

    return "everything" if name == EVERYTHING else name


def _with(history: History, suspensions: dict[str, Suspension]) -> History:
    return replace(history, suspended={**history.suspended, **suspensions})


def _end(told: Suspension) -> str:
    return f"until {stamp(told.until)}" if told.until else "until `reconciler resume`"


def _told(names: Iterable[str], told: Suspension) -> Iterator[str]:
    reason = f" ({told.reason})" if told.reason else ""
    yield from (f"{shown(name)}: suspended {_end(told)}{reason}" for name in names)
    yield "it is looked at, and nothing is done to it: no update, no healing, no removal"
