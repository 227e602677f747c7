"""How is it: as Git wants it, and well? `reconciler status`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from reconciler.cli import rollout
from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import CLEARED, columns, say, section
from reconciler.cli.problems import complain
from reconciler.cli.sight import Lookout, Sight
from reconciler.cli.times import age, stamp

if TYPE_CHECKING:
    from reconciler.model.catalog import Entry
    from reconciler.model.plan import Blocked
    from reconciler.model.source import Revision
    from reconciler.model.status import ServiceStatus, StackStatus, Turn
    from reconciler.plan.traffic.standing import ListenerStanding, ServerStanding

WATCH_SECONDS = 2.0
"""How often a watched status is looked at again when the engine tells of nothing."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    add = parser.add_argument
    add("--watch", action="store_true", help="stay, and print it again whenever it changes")
    add("--json", action="store_true", help="for programs; with --watch one document a line")
    add("--quiet", "-q", action="store_true", help="print only what is not as Git asks, or not well")


def run(args: argparse.Namespace) -> int:
    """Ask Git and the engine now; what does not answer is said on stderr, and the history speaks for it.

    Returns 0 when everybody answered, however it is, else 1.
    """
    lookout = Lookout(place_of(args))
    if args.watch:
        _watch(lookout, args)
    sight = lookout.sight()
    for trouble in sight.troubles:
        complain(trouble)
    say(printed(sight, as_json=args.json, quiet=args.quiet))
    return 1 if sight.troubles else 0


def printed(sight: Sight, *, as_json: bool = False, quiet: bool = False, on_a_line: bool = False) -> str:
    """Return the status as a JSON document, or as people read it; `quiet` leaves out what is as it should be.

    `on_a_line` has the document on one line, as one of many.
    """
    if as_json:
        form: dict[str, Any] = {} if on_a_line else {"indent": 2, "ensure_ascii": False}
        return json.dumps(document(sight), default=datetime.isoformat, **form) + "\n"
    return "".join(f"{line}\n" for line in lines(sight, quiet=quiet))


def document(sight: Sight) -> dict[str, Any]:
    """Return the status for programs. `now` is false where the stacks are those that a turn saw at `seen_at`."""
    from reconciler.plan.render import held_data

    desired, seen, lease = sight.desired, sight.seen, sight.lease
    waiting = sight.look.plan.waiting if sight.look else ()
    return {
        "environment": desired.environment.name if desired else "",
        "revision": _revision_data(desired.revision) if desired else None,
        "applied": sight.history.applied,
        "now": sight.look is not None,
        "seen_at": seen[0].isoformat() if seen else None,
        "stacks": [asdict(stack) for stack in seen[1]] if seen else [],
        "gateway": _gateway_data(sight),
        "rollouts": rollout.data(sight),
        "registry": [_entry_data(entry) for entry in _entries(sight)],
        "blocked": [_blocked_data(one) for one in _blocked(sight)],
        "held": [held_data(one) for one in sight.look.plan.held] if sight.look else [],
        "waiting": [{"group": one.group, "what": one.what, "on": one.on} for one in waiting],
        "quarantine": [asdict(one) for _, one in sorted(sight.history.quarantine.items())],
        "lease": {"holder": lease.holder, "expires": lease.expires.isoformat()} if lease else None,
        "last_turn": turn_data(sight.turns[0]) if sight.turns else None,
        "errors": [{"message": str(trouble), "hint": trouble.hint} for trouble in sight.troubles],
    }


def turn_data(turn: Turn) -> dict[str, Any]:
    """Return a turn for programs, without the stacks it saw."""
    return {
        "started": turn.started.isoformat(),
        "finished": turn.finished.isoformat(),
        "woke": turn.woke,
        "operation": turn.operation.value,
        "revision": turn.revision,
        "author": turn.author,
        "subject": turn.subject,
        "applied": turn.applied,
        "summary": turn.summary,
        "done": turn.done,
        "failed": list(turn.failed),
        "error": turn.error,
        "hint": turn.hint,
    }


def lines(sight: Sight, *, quiet: bool = False) -> Iterator[str]:
    """Yield the status as people read it; `quiet` leaves out what is as it should be."""
    seen, last = sight.seen, sight.turns[0] if sight.turns else None
    if not quiet:
        yield from columns(_heading(sight))
    if seen is not None:
        yield from stack_lines(seen[1], sight.now, quiet=quiet)
    yield from section(_gateway_title(sight), _traffic(sight, quiet=quiet))
    yield from section("rollouts", rollout.rows(sight, rollout.under_way(sight)))
    yield from section("registry", columns(map(_found, _entries(sight, quiet=quiet))))
    yield from section("blocked", (line for one in _blocked(sight) for line in blocked_lines(one)))
    yield from section("held", _held(sight))
    yield from section("failed in the last turn", last.failed if last else ())
    yield from section("error of the last turn", [last.error] if last and last.error and not sight.troubles else ())


def stack_lines(stacks: Iterable[StackStatus], now: datetime, *, quiet: bool = False) -> Iterator[str]:
    """Yield each stack with its services; `quiet` leaves out those that are as Git asks, and well."""
    for stack in stacks:
        services = [service for service in stack.services if not (quiet and _is_fine(service))]
        if services or not (quiet and _is_fine(stack)):
            yield f"{stack.name}  {stack.sync} {stack.health}"
            yield from columns((_row(service, now) for service in services), indent="  ")


# --- one part after the other ----------------------------------------------------------------------------------------


def _heading(sight: Sight) -> Iterator[tuple[str, str]]:
    now, desired, applied = sight.now, sight.desired, sight.history.applied
    if desired is not None:
        newest = "" if sight.git is None else "; the newest that could be read"
        yield desired.environment.name, f"at {revision_text(desired.revision, now)}{newest}"
        yield "applied", _applied(applied, desired.revision.id)
    if sight.turns:
        yield "last turn", _turn(sight.turns[0], now)
    if lease := sight.lease:
        yield "lease", f"{lease.holder} until {stamp(lease.expires)}"
    if sight.look is None:
        seen = sight.seen
        yield "last seen", f"{stamp(seen[0])} ({age(seen[0], now)} ago), as follows" if seen else "never"


def _gateway_title(sight: Sight) -> str:
    gateway = sight.look.observed.gateway if sight.look else None
    return f"gateway, HAProxy {gateway.version}" if gateway else "gateway, not there or silent"


def _traffic(sight: Sight, *, quiet: bool = False) -> Iterator[str]:
    """Yield each listener with the services behind it and their servers; `quiet` leaves out those that serve."""
    for listener in sight.listeners:
        servers = [one for way in listener.ways for one in way.servers if one.standing != "serves" or not quiet]
        if servers or not quiet or not listener.listens:
            yield from listener_lines(listener, quiet=quiet)


def listener_lines(listener: ListenerStanding, *, quiet: bool = False) -> Iterator[str]:
    """Yield a listener, the services behind it, and their servers; `quiet` leaves out servers that serve."""
    layer = f"{listener.layer}, TLS" if listener.tls else listener.layer
    about = layer or "nobody asks for it any more"
    yield f"{listener.name}  {about}" + ("" if listener.listens else ", does not listen yet")
    for way in listener.ways:
        yield f"  {way.route or 'everything'} to {way.service}: {way.why}" + (f"   {way.source}" if way.source else "")
        yield from columns((_server_row(one) for one in way.servers if one.standing != "serves" or not quiet), indent="    ")


def _server_row(server: ServerStanding) -> tuple[str, ...]:
    queued = f", {server.queued} queued" if server.queued else ""
    return server.container, f"weight {server.weight}", server.standing, f"{server.in_flight} in flight{queued}"


def _gateway_data(sight: Sight) -> dict[str, Any]:
    gateway = sight.look.observed.gateway if sight.look else None
    return {
        "container": gateway.container if gateway else "",
        "version": gateway.version if gateway else "",
        "listeners": [asdict(one) for one in sight.listeners],
        "samples": [asdict(one) for one in sight.samples],
    }


def _entries(sight: Sight, *, quiet: bool = False) -> tuple[Entry, ...]:
    """What of our containers can be found by name; `quiet` leaves out those that serve."""
    entries = (sight.look.plan.entries if sight.look else None) or ()
    return tuple(entry for entry in entries if entry.standing != "passing" or not quiet)


def _found(entry: Entry) -> tuple[str, ...]:
    """An address of this machine's own is left out: only the resident reconciler knows what it is called."""
    why = "" if entry.standing == "passing" else entry.output
    return entry.name, f"{entry.address}:{entry.port}", entry.standing, entry.title, why


def _entry_data(entry: Entry) -> dict[str, Any]:
    told = ("name", "id", "address", "port", "tags", "meta", "standing", "output", "instance", "service")
    return {"container": entry.title, **{field: getattr(entry, field) for field in told}}


def _held(sight: Sight) -> Iterator[str]:
    from reconciler.plan.render import held_text

    yield from map(held_text, sight.look.plan.held if sight.look else ())


def _applied(applied: str, wanted: str) -> str:
    if not applied:
        return "no revision yet"
    return f"{applied[:7]}, everything" if applied == wanted else f"{applied[:7]}; {wanted[:7]} is not applied whole"


def revision_text(revision: Revision, now: datetime) -> str:
    """Return a commit as people name it."""
    author = f", {revision.author}" if revision.author else ""
    return f'{revision.short} "{revision.subject}"{author}, {age(revision.at, now)} ago'


def _turn(turn: Turn, now: datetime) -> str:
    done = f", {turn.done} done" if turn.done else ""
    return f"{stamp(turn.finished)} ({age(turn.finished, now)} ago), woken by {turn.woke}: {turn.operation}{done}"


def _row(service: ServiceStatus, now: datetime) -> tuple[str, ...]:
    since = f"for {age(service.since, now)}" if service.since else ""
    counts = f"{service.ready}/{service.wanted}"
    return service.name, counts, service.sync, service.health, service.image, since, service.message


def _is_fine(one: StackStatus | ServiceStatus) -> bool:
    return one.sync == "Synced" and one.health in ("Healthy", "Suspended")


def _blocked(sight: Sight) -> tuple[Blocked, ...]:
    return sight.look.plan.blocked if sight.look else ()


def blocked_lines(one: Blocked) -> Iterator[str]:
    """Yield what is blocked, where that stands, and what to do."""
    yield f"[{one.code}] {one.message}" + (f"   {one.source}" if one.source else "")
    if one.hint:
        yield f"  hint: {one.hint}"


def _blocked_data(one: Blocked) -> dict[str, str]:
    return {"group": one.group, "code": one.code, "message": one.message, "hint": one.hint, "source": str(one.source or "")}


def _revision_data(revision: Revision) -> dict[str, str]:
    return {
        "id": revision.id,
        "ref": revision.ref,
        "at": revision.at.isoformat(),
        "author": revision.author,
        "subject": revision.subject,
    }


def _serving(sight: Sight) -> tuple[object, ...]:
    """What of traffic is worth another line: how many requests are in flight changes all the time."""
    servers = (one for listener in sight.listeners for way in listener.ways for one in way.servers)
    return *((one.container, one.weight, one.standing) for one in servers), rollout.under_way(sight)


# --- watching --------------------------------------------------------------------------------------------------------


def _watch(lookout: Lookout, args: argparse.Namespace) -> NoReturn:
    """Print it again whenever there is news, until somebody interrupts; on a terminal in place of what stood there."""
    from reconciler.wake import Bell, listening

    clear = CLEARED if sys.stdout.isatty() and not args.json else ""
    bell, before = None, None
    with ExitStack() as open_streams:
        while True:
            sight = lookout.sight()
            seen = sight.seen and sight.seen[1]
            news = (
                seen,
                _serving(sight),
                _entries(sight),
                _blocked(sight),
                sight.history.applied,
                list(map(str, sight.troubles)),
            )
            if clear or news != before:
                sys.stdout.write(clear)
                say(printed(sight, as_json=args.json, quiet=args.quiet, on_a_line=True))
                for trouble in sight.troubles:
                    complain(trouble)
            before = news
            if bell is None and sight.look is not None:
                bell = open_streams.enter_context(listening(lookout.runtime()))
            (bell or Bell()).wait(WATCH_SECONDS)
