"""How far is a new version, and may it go on? `reconciler rollout`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import columns, say
from reconciler.cli.times import age
from reconciler.cli.word import write_down
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.cli.sight import Sight
    from reconciler.model.history import History
    from reconciler.model.rollout import Progress, Say
    from reconciler.ports import Store

STATUS = "status"
WORDS = (STATUS, "promote", "pause", "resume", "abort")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add = parser.add_argument
    what = "show; or go to the next step now, stop where it is, go on, or give the new version up"
    add("what", choices=WORDS, help=what)
    add(
        "services",
        nargs="*",
        default=[],
        metavar="STACK/SERVICE",
        help="whose rollout; status: all of them where none is named",
    )
    add("--reason", default="", metavar="TEXT", help="why, for everybody who looks")
    configure_place(parser, source=False)


def run(args: argparse.Namespace) -> int:
    """Show rollouts, or write a person's word into the history: the next turn follows it."""
    place = place_of(args)
    if args.what == STATUS:
        from reconciler.cli.problems import complain
        from reconciler.cli.sight import Lookout

        sight = Lookout(place).sight()
        for trouble in sight.troubles:
            complain(trouble)
        say("".join(f"{line}\n" for line in shown(sight, args.services)))
        return 1 if sight.troubles else 0
    say(tell(place.store(), place.clock().now(), args.what, args.services, args.reason))
    return 0


# --- status ----------------------------------------------------------------------------------------------------------


def shown(sight: Sight, services: Iterable[str] = ()) -> Iterator[str]:
    """Yield a line for each rollout under way, and what it waits for."""
    chosen = tuple(services)
    rollouts = sight.look.plan.rollouts if sight.look else sight.history.rollouts
    found = {name: one for name, one in sorted(rollouts.items()) if not chosen or name in chosen}
    yield from columns((name, *_row(one, sight.now), _waits(sight, name)) for name, one in found.items())
    if not found:
        yield "no rollout is under way"


def _row(progress: Progress, now: datetime) -> tuple[str, str]:
    step = f", step {progress.step + 1}" if progress.stage == "shifting" else ""
    paused = f", paused: {progress.paused}" if progress.paused else ""
    return f"{progress.stage}{step}{paused}", f"for {age(progress.since, now)}"


def _waits(sight: Sight, service: str) -> str:
    waiting = sight.look.plan.waiting if sight.look else ()
    return next((f"until {one.on}" for one in waiting if one.group == service), "")


# --- a person's word -------------------------------------------------------------------------------------------------


def tell(store: Store, now: datetime, what: str, services: Iterable[str], reason: str = "") -> str:
    """Write a word down for each of the services, and return what to tell. Raises UsageError for what has no rollout."""
    from reconciler.model.rollout import Say

    chosen = tuple(dict.fromkeys(services))
    under_way = store.history().rollouts
    if not chosen or (unknown := [one for one in chosen if one not in under_way]):
        known = f"under way: {', '.join(sorted(under_way))}" if under_way else "none is under way"
        raise UsageError(f"{unknown[0]} has no rollout" if chosen else "name whose rollout", hint=known)
    words = " ".join(reason.split())
    store.change(lambda history: _with(history, chosen, Say(what), now, words))
    write_down(store, now, f"rollout {what}", dict.fromkeys(chosen, under_way[chosen[0]].stage), reason=words)
    return "".join(f"{name}: {_TOLD[what]}\n" for name in chosen)


_TOLD = {
    "promote": "the next turn takes it a step further, whatever the clock and the analysis say",
    "pause": "it stays where it is, until `reconciler rollout resume` or `promote`",
    "resume": "the next turn goes on with it",
    "abort": "the next turn gives the new version up; push a fix, or `reconciler retry`",
}


def _with(history: History, services: Iterable[str], what: Say, now: datetime, reason: str) -> History:
    from reconciler.model.rollout import Word

    return replace(history, words={**history.words, **dict.fromkeys(services, Word(what, now, reason))})
