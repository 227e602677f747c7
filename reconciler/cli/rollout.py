"""How far is a new version, and may it go on? `reconciler rollout`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import columns, say
from reconciler.cli.times import age, ending
from reconciler.cli.word import write_down
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.cli.sight import Sight
    from reconciler.model.history import History
    from reconciler.model.plan import Waiting
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
    found = {name: one for name, one in under_way(sight).items() if not chosen or name in chosen}
    yield from rows(sight, found)
    if not found:
        yield "no rollout is under way"


def under_way(sight: Sight) -> dict[str, Progress]:
    """Return the rollouts under way, by service id: as they are now, else as the last turn left them."""
    return dict(sorted((sight.look.plan.rollouts if sight.look else sight.history.rollouts).items()))


def rows(sight: Sight, rollouts: Mapping[str, Progress]) -> Iterator[str]:
    """Yield a line for each rollout: where it is, since when, and what it waits for; what judged it last beneath it."""
    lines = columns((name, *_row(one, sight.now), _waits(sight, name)) for name, one in rollouts.items())
    for line, progress in zip(lines, rollouts.values(), strict=True):
        yield line
        if progress.verdict:
            yield f"  analysis: {progress.verdict}"


def data(sight: Sight) -> list[dict[str, Any]]:
    """Return the rollouts under way for programs."""
    return [
        {
            "service": name,
            "stage": one.stage.value,
            "step": one.step,
            "since": one.since.isoformat(),
            "paused": one.paused,
            "analysis": one.verdict,
            "waits": [{"what": wait.what, "on": wait.on, "until": _end(wait)} for wait in waiting(sight, name)],
        }
        for name, one in under_way(sight).items()
    ]


def waiting(sight: Sight, service: str) -> Iterator[Waiting]:
    """Yield what a service waits for now."""
    return (one for one in (sight.look.plan.waiting if sight.look else ()) if one.group == service)


def _end(waiting: Waiting) -> str:
    """When it goes on at the latest, "" where nobody can tell."""
    end = waiting.until or waiting.wake_at
    return end.isoformat() if end else ""


def _row(progress: Progress, now: datetime) -> tuple[str, str]:
    step = f", step {progress.step + 1}" if progress.stage == "shifting" else ""
    paused = f", paused: {progress.paused}" if progress.paused else ""
    return f"{progress.stage}{step}{paused}", f"for {age(progress.since, now)}"


def _waits(sight: Sight, service: str) -> str:
    return next((f"until {one.on}{ending(one)}" for one in waiting(sight, service)), "")


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
