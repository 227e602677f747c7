"""Let what failed be tried again: `reconciler retry`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_state, place_of
from reconciler.cli.printing import say
from reconciler.cli.word import write_down
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.model.history import Backoff, History
    from reconciler.ports import Store

STACKS_SEEN = 20
"""How many turns back a service may have been seen for the last time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("services", nargs="*", metavar="STACK/SERVICE", help="what to try again")
    parser.add_argument("--all", action="store_true", help="try everything again that is held or waits")
    configure_state(parser)


def run(args: argparse.Namespace) -> int:
    """Forget that a version failed, and every pause after a failure. The next turn tries again; this one does not act."""
    place = place_of(args)
    say(retry(place.store(), place.clock().now(), args.services, everything=args.all))
    return 0


def retry(store: Store, now: datetime, services: Iterable[str], *, everything: bool = False) -> str:
    """Write it into the history and return what to tell. Raises UsageError for a service that nobody has ever seen."""
    services = tuple(services)
    held = _held(store.history())
    if everything == bool(services):
        raise UsageError("name what to try again, or say --all", hint=f"held now: {', '.join(sorted(held)) or 'nothing'}")
    if unknown := set(services) - held.keys() - set(_seen(store)):
        raise UsageError(f"no turn has seen {', '.join(sorted(unknown))}", hint="name it as STACK/SERVICE, as `status` does")
    chosen = tuple(sorted(held)) if everything else services
    store.change(lambda history: _freed(history, frozenset(chosen), now))
    write_down(store, now, "retry", {service: held.get(service, "") for service in chosen})
    return "".join(f"{line}\n" for line in _told(chosen, held))


def _held(history: History) -> dict[str, str]:
    """Return what each service is held by: a rollback, a version that failed, or a pause after a failure."""
    pauses = [*history.retries.items(), *history.heals.items()]
    paused = {_service_of(key): f"{one.attempts} {'try' if one.attempts == 1 else 'tries'} failed" for key, one in pauses}
    failed = {service: one.message for service, one in history.quarantine.items()}
    return {**paused, **failed, **{target: f"rolled back to {one.to[:7]}" for target, one in history.rollbacks.items()}}


def _service_of(key: str) -> str:
    """`stack/service` of a back-off's key, which is that or `stack/service/slot`; the key itself for networks and volumes."""
    service, _, slot = key.rpartition("/")
    return service if slot.isdecimal() and "/" in service else key


def _seen(store: Store) -> Iterator[str]:
    for turn in store.turns(STACKS_SEEN):
        yield from (f"{stack.name}/{service.name}" for stack in turn.stacks for service in stack.services)


def _freed(history: History, services: frozenset[str], now: datetime) -> History:
    def kept(backoffs: dict[str, Backoff]) -> dict[str, Backoff]:
        return {key: one for key, one in backoffs.items() if _service_of(key) not in services}

    return replace(
        history,
        quarantine={service: one for service, one in history.quarantine.items() if service not in services},
        heals=kept(dict(history.heals)),
        retries=kept(dict(history.retries)),
        retried={**history.retried, **dict.fromkeys(services, now)},
        rollbacks={target: one for target, one in history.rollbacks.items() if target not in services},
    )


def _told(chosen: Iterable[str], held: dict[str, str]) -> Iterator[str]:
    for service in chosen:
        yield f"{service}: will be tried again ({held[service]})" if service in held else f"{service}: nothing held it back"
    if any(service in held for service in chosen):
        yield "the next turn does it: of `reconciler run` within its interval, or `reconciler apply` now"
    if not chosen:
        yield "nothing is held back"
