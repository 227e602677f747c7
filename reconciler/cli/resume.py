"""Take back what `reconciler suspend` said: `reconciler resume`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_state, place_of
from reconciler.cli.printing import say
from reconciler.cli.suspend import configure_targets, named, seen, shown
from reconciler.cli.word import write_down

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.history import History, Suspension
    from reconciler.ports import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_targets(parser, "what to go on with")
    configure_state(parser)


def run(args: argparse.Namespace) -> int:
    """Write it into the history. The next turn brings it to what Git asks."""
    place = place_of(args)
    say(resume(place.store(), place.clock().now(), args.targets, everything=args.all))
    return 0


def resume(store: Store, now: datetime, targets: Iterable[str], *, everything: bool = False) -> str:
    """Take suspensions back, every one with `everything`, and return what to tell. Raises UsageError for what nobody knows."""
    held = {name: one for name, one in store.history().suspended.items() if one.holds(now)}
    names = named(targets, everything=everything, known=(*held, *seen(store)))
    chosen = tuple(held) if everything else names
    store.change(lambda history: _without(history, frozenset(chosen)))
    write_down(store, now, "resume", {name: held[name].reason if name in held else "" for name in chosen})
    return "".join(f"{line}\n" for line in _told(chosen, held))


def _without(history: History, names: frozenset[str]) -> History:
    return replace(history, suspended={name: one for name, one in history.suspended.items() if name not in names})


def _told(chosen: Iterable[str], held: Mapping[str, Suspension]) -> Iterator[str]:
    chosen = tuple(chosen)
    left = {name: one for name, one in held.items() if name not in chosen}
    for name in chosen:
        reason = held[name].reason if name in held else ""
        said = "goes on" + (f" (was suspended: {reason})" if reason else "") if name in held else "was not suspended by itself"
        wider = next((other for other in left if other == "*" or name.startswith(f"{other}/")), "")
        yield f"{shown(name)}: {said}" + (f", but {shown(wider)} still is" if wider else "")
    if any(name in held for name in chosen):
        yield "the next turn takes it up: of `reconciler run` within its interval, or `reconciler apply` now"
    if not chosen:
        yield "nothing is suspended"
