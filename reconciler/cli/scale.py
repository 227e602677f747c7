"""Commit how many replicas a service has: `reconciler scale STACK/SERVICE=N`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import say
from reconciler.cli.word import login, write_down
from reconciler.errors import Conflict, Refused, Unreachable, UsageError

if TYPE_CHECKING:
    from reconciler.load.pin import Pin
    from reconciler.model.desired import DesiredState, Environment, Service
    from reconciler.ports import Decision, Source, Writer, Written
    from reconciler.reading import Load
    from reconciler.wiring import Workplace

_WISH = re.compile(r"(?P<stack>[^/=]+)/(?P<service>[^/=]+)=(?P<replicas>\d{1,5})")
PINNED = timedelta(days=30)
"""How long an autoscaler leaves the number alone, unless somebody says otherwise."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("wishes", nargs="+", metavar="STACK/SERVICE=N", help="how many replicas of which service")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for whoever reads it in Git")
    parser.add_argument("--until", metavar="DATE", help="how long an autoscaler leaves it alone (default: 30 days)")
    parser.add_argument("--by", metavar="NAME", default="", help="who says so (default: the login of this process)")
    configure_place(parser, engine=False, source=False)


def run(args: argparse.Namespace) -> int:
    """Write the number into the override of the stack, commit it and push it. The engine is not asked."""
    place = place_of(args)
    until = args.until or f"{place.clock().now() + PINNED:%Y-%m-%d}"
    by = args.by or login()
    wishes = [_wish(word, by, until, args.reason) for word in args.wishes]
    try:
        said = scale(place.source(), place.load(), place.writer, wishes)
    except (Refused, Unreachable, Conflict) as error:
        _write_down(place, {wish.id: f"{wish.replicas} replicas" for wish in wishes}, args.reason, by, str(error))
        raise
    _write_down(place, said, args.reason, by)
    say("".join(f"{id}: {text}\n" for id, text in said.items()))
    return 0


def _write_down(place: Workplace, said: Mapping[str, str], reason: str, by: str, error: str = "") -> None:
    write_down(place.store(), place.clock().now(), "scale", said, reason=reason, error=error, by=by)


def scale(source: Source, load: Load, writer_for: Callable[[Environment], Writer], wishes: Iterable[Pin]) -> dict[str, str]:
    """Commit it, and return what became of each. Raises UsageError for a service that is not there or cannot be scaled."""
    revision = source.fetch()
    desired = load(source.files(revision.id), revision)
    writer = writer_for(desired.environment)
    pins = [_within_limits(desired, wish) for wish in wishes]
    written = writer.write(decision(desired, load, pins))
    return {pin.id: _told(writer, written, desired, pin) for pin in pins}


def decision(desired: DesiredState, load: Load, pins: Iterable[Pin]) -> Decision:
    """Return what is to be committed, whatever the branch holds by then."""
    from reconciler.load.pin import pinned
    from reconciler.ports import Decision

    pins, revision = tuple(pins), desired.revision
    changes = ", ".join(f"{pin.service} {_service(desired, pin).replicas}→{pin.replicas}" for pin in pins)
    stacks = ", ".join(dict.fromkeys(pin.stack for pin in pins))
    return Decision(
        id=sha256(repr((desired.environment.name, revision.id, pins)).encode()).hexdigest()[:20],
        subject=f"scale({stacks}): {changes}",
        base=revision.id,
        edit=lambda files: pinned(files, pins, lambda files: load(files, revision)),
        body="\n".join(f"{pin.id}: {pin.replicas}, pinned by {pin.by} until {pin.until}" for pin in pins),
        reason=pins[0].reason,
    )


def _wish(word: str, by: str, until: str, reason: str) -> Pin:
    from datetime import datetime

    from reconciler.load.pin import Pin

    match = _WISH.fullmatch(word)
    if match is None:
        raise UsageError(f"{word!r} says no number of replicas", hint="write STACK/SERVICE=N, such as shop/web=3")
    try:
        datetime.fromisoformat(until)
    except ValueError as error:
        raise UsageError(f"{until!r} is no date", hint="write it as 2026-05-31") from error
    return Pin(match["stack"], match["service"], int(match["replicas"]), by, until, reason or "no reason given")


def _within_limits(desired: DesiredState, wish: Pin) -> Pin:
    """Keep a wish between the limits of its autoscaler, and say so."""
    from reconciler.load.pin import limits

    service = _service(desired, wish)
    if service.kind == "job":
        raise UsageError(f"{wish.id} is a job: it runs once", hint="scale a service")
    if service.container_name and wish.replicas > 1:
        message = f"{wish.id} has the container name {service.container_name}, so there can be only one of it"
        raise UsageError(message, hint="take container_name away, then scale")
    lowest, highest = limits(service) or (0, wish.replicas)
    replicas = max(lowest, min(highest, wish.replicas))
    if replicas != wish.replicas:
        say(f"note: x-autoscale of {wish.id} allows {lowest} to {highest} replicas: {replicas}\n", sys.stderr)
    return replace(wish, replicas=replicas)


def _service(desired: DesiredState, pin: Pin) -> Service:
    from reconciler.load.excerpt import suggest

    known = {service.id: service for stack in desired.stacks for service in stack.services}
    if pin.id not in known:
        hint = suggest(pin.id, known) or f"there are {', '.join(known) or 'none'}"
        raise UsageError(f"there is no service {pin.id} in {desired.environment.name}", hint=hint)
    return known[pin.id]


def _told(writer: Writer, written: Written, desired: DesiredState, pin: Pin) -> str:
    if not written.commit:
        return f"{pin.replicas} replicas, as {written.branch} says already"
    change = f"{_service(desired, pin).replicas} → {pin.replicas} replicas, commit {written.commit[:7]}"
    if written.branch != writer.branch:
        return f"{change} on {written.branch}, for a pull request: it counts when {writer.branch} has it"
    return f"{change} on {written.branch}"
