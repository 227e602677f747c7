"""Why is a service as it is? `reconciler explain STACK/SERVICE`: the chain from the commit to the container."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import columns, say, section
from reconciler.cli.problems import complain
from reconciler.cli.sight import Lookout, Sight
from reconciler.cli.status import blocked_lines, listener_lines, revision_text
from reconciler.cli.times import age, ending, stamp
from reconciler.errors import Mark, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.load.stated import Stated
    from reconciler.loop import Look
    from reconciler.model.desired import DesiredState, Service
    from reconciler.model.history import Backoff
    from reconciler.model.observed import Instance
    from reconciler.model.plan import Blocked, Group, Held, Reason, Waiting
    from reconciler.model.source import Revision
    from reconciler.model.status import ServiceStatus
    from reconciler.plan.traffic.standing import ListenerStanding

LONGEST_VALUE = 100
ID_LENGTH = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("service", metavar="STACK/SERVICE", help="what to explain")
    configure_place(parser, source=False)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Print everything that is known of a service. Returns 0 when everybody answered, else 1."""
    lookout = Lookout(place_of(args))
    sight = lookout.sight()
    for trouble in sight.troubles:
        complain(trouble)
    found = explain(lookout, sight, args.service)
    document = json.dumps(data(found), indent=2, ensure_ascii=False)
    say(f"{document}\n" if args.json else "".join(f"{line}\n" for line in lines(found, sight.now)))
    return 1 if sight.troubles else 0


# --- what is known ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Container:
    """One container: how it is, which revision it was made for, and how it differs from the version that counts."""

    name: str
    id: str
    state: str
    since: datetime | None
    image: str
    revision: str
    commit: Revision | None
    differs: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Setback:
    """Something that went wrong before: when last, and how often since when, as far as the last turns tell."""

    at: datetime
    what: str
    times: int = 1
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Dependency:
    """Whom the service waits for, until what, and how that one is."""

    service: str
    condition: str
    status: ServiceStatus | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known of a service; what nobody answered is empty.

    revision  the newest one that could be read
    ports     of the host that it has: who holds each, why, and where that is written
    traffic   listeners of the gateway that lead to it, with nobody else's servers
    order     whether old or new containers go first in an update, and why
    held      why the newest version does not count
    last_words  what its container that failed wrote last, oldest line first
    """

    service: str
    source: str
    status: ServiceStatus | None
    seen_at: datetime | None
    revision: Revision | None
    applied: str
    order: str
    held: str
    last_words: tuple[str, ...]
    settings: tuple[Stated, ...]
    depends_on: tuple[Dependency, ...]
    containers: tuple[Container, ...]
    ports: tuple[Reason, ...]
    traffic: tuple[ListenerStanding, ...]
    doing: tuple[Group, ...]
    waiting: tuple[Waiting, ...]
    blocked: tuple[Blocked, ...]
    kept_back: tuple[Held, ...]
    setbacks: tuple[Setback, ...]


def explain(lookout: Lookout, sight: Sight, name: str) -> Explanation:
    """Gather it. Raises UsageError for a service that neither Git, the engine nor the history knows."""
    service = _service(sight.desired, name)
    statuses = {f"{one.stack}/{one.name}": one for stack in (sight.seen or (None, ()))[1] for one in stack.services}
    containers = _containers(sight.look, name, _commits(lookout)) if sight.look else ()
    if service is None and name not in statuses and not containers:
        raise _unknown(name, sight, statuses)
    plan = sight.look.plan if sight.look else None
    return Explanation(
        service=name,
        source=str(service.mark("") or "") if service else "",
        status=statuses.get(name),
        seen_at=sight.seen[0] if sight.seen else None,
        revision=sight.desired.revision if sight.desired else None,
        applied=sight.history.applied,
        order=_order(sight.desired, service),
        held=_held(sight, service),
        last_words=quarantine.last_words if (quarantine := sight.history.quarantine.get(name)) else (),
        settings=_settings(lookout, sight.desired, service),
        depends_on=_dependencies(service, statuses),
        containers=containers,
        ports=_ports(service),
        traffic=tuple(_leading_to(sight.listeners, name)),
        doing=tuple(one for one in plan.groups if one.key == name) if plan else (),
        waiting=tuple(one for one in plan.waiting if one.group == name) if plan else (),
        blocked=tuple(one for one in plan.blocked if one.group == name) if plan else (),
        kept_back=tuple(one for one in plan.held if one.key in (name, name.partition("/")[0])) if plan else (),
        setbacks=tuple(sorted(_gathered(_setbacks(sight, name)), key=lambda one: one.at, reverse=True)),
    )


def _service(desired: DesiredState | None, name: str) -> Service | None:
    services = (service for stack in desired.stacks for service in stack.services) if desired else ()
    return next((service for service in services if service.id == name), None)


def _unknown(name: str, sight: Sight, seen: Iterable[str]) -> UsageError:
    from reconciler.load.excerpt import suggest

    stacks = sight.desired.stacks if sight.desired else ()
    known = sorted({*seen, *(service.id for stack in stacks for service in stack.services)})
    return UsageError(f"nobody knows a service {name!r}", hint=suggest(name, known) or f"known: {', '.join(known) or 'none'}")


def _order(desired: DesiredState | None, service: Service | None) -> str:
    from reconciler.plan.order import order_of

    if desired is None or service is None:
        return ""
    order, why = order_of(service, desired.stack(service.stack))
    return f"{order} ({why})"


def _ports(service: Service | None) -> tuple[Reason, ...]:
    from reconciler.model.plan import Reason
    from reconciler.plan.traffic.telling import holders

    held = holders(service) if service else {}
    return tuple(Reason(f"host port {port}", str(one), str(one), one.source) for port, one in held.items())


def _leading_to(listeners: Iterable[ListenerStanding], name: str) -> Iterator[ListenerStanding]:
    for listener in listeners:
        if ways := tuple(way for way in listener.ways if way.service == name):
            yield replace(listener, ways=ways)


def _held(sight: Sight, service: Service | None) -> str:
    from reconciler.plan.view import failure_of

    if sight.desired is None or service is None:
        return ""
    return failure_of(service, sight.desired.revision.id, sight.history)


def _settings(lookout: Lookout, desired: DesiredState | None, service: Service | None) -> tuple[Stated, ...]:
    from reconciler.load.stated import stated

    if desired is None or service is None:
        return ()
    return stated(service, lookout.source.files(desired.revision.id))


def _dependencies(service: Service | None, statuses: dict[str, ServiceStatus]) -> tuple[Dependency, ...]:
    if service is None:
        return ()
    found = ((f"{service.stack}/{one.on}", one.condition) for one in service.depends_on)
    return tuple(Dependency(other, condition, statuses.get(other)) for other, condition in found)


def _commits(lookout: Lookout) -> Callable[[str], Revision | None]:
    """Look past revisions up, each once. One that is gone, or a directory's, has no commit to show."""
    from functools import cache

    @cache
    def commit(revision: str) -> Revision | None:
        try:
            return lookout.source.revision(revision) if revision else None
        except ReconcilerError:
            return None

    return commit


def _containers(look: Look, name: str, commit: Callable[[str], Revision | None]) -> tuple[Container, ...]:
    """What Git no longer has is compared with nothing."""
    from reconciler.plan.planner import survey
    from reconciler.plan.reasons import because

    world = survey(look.desired, look.observed, look.history, look.previous)
    view = world.views.get(name)
    if view is None:
        return tuple(_container(one, commit, ()) for place, one in world.fleet.orphans if place.service_id == name)
    members = ((one.instance, because(one.comparison, view.service, one.instance)) for one in view.members)
    return tuple(_container(instance, commit, reasons) for instance, reasons in members)


def _container(instance: Instance, commit: Callable[[str], Revision | None], differs: tuple[Reason, ...]) -> Container:
    from reconciler.model import labels

    revision = instance.labels.get(labels.REVISION, "")
    since = instance.started if instance.running else instance.finished or instance.created
    image = str(instance.detail.get("Config", {}).get("Image", ""))
    return Container(instance.name, instance.id, _state(instance), since, image, revision, commit(revision), differs)


def _state(instance: Instance) -> str:
    said = [instance.phase.value]
    if instance.ended:
        said.append(f"exit code {instance.exit_code}" + (", out of memory" if instance.oom_killed else ""))
    elif instance.running and instance.probe != "none":
        said.append(instance.probe.value)
    if instance.restarts:
        said.append(f"restarted {instance.restarts} times")
    return ", ".join(said)


def _setbacks(sight: Sight, name: str) -> Iterator[Setback]:
    """From the quarantine, the pauses after failures, and the failed actions of the last turns."""
    history = sight.history
    if quarantine := history.quarantine.get(name):
        yield Setback(quarantine.at, f"{quarantine.revision[:7]} failed: {quarantine.message}; it is not tried again")
    for key, pause in (*history.retries.items(), *history.heals.items()):
        if key == name or key.startswith(f"{name}/"):
            yield Setback(pause.last, _pause(key, pause))
    for turn in sight.turns:
        yield from (Setback(turn.finished, one) for one in turn.failed if one.startswith(f"{name}/"))


def _gathered(setbacks: Iterable[Setback]) -> Iterator[Setback]:
    """What goes wrong again and again is said once."""
    times: dict[str, list[datetime]] = defaultdict(list)
    for one in setbacks:
        times[one.what].append(one.at)
    yield from (Setback(max(found), what, len(found), min(found)) for what, found in times.items())


def _pause(key: str, pause: Backoff) -> str:
    why = f": {pause.why}" if pause.why else " (repaired)"
    times = "once" if pause.attempts == 1 else f"{pause.attempts} times"
    return f"{key} {times}{why}; not again before {stamp(pause.next)}"


# --- how it is said --------------------------------------------------------------------------------------------------


def lines(found: Explanation, now: datetime) -> Iterator[str]:
    """Yield it as people read it, from what Git says down to what went wrong."""
    from reconciler.plan.render import held_text, reason_text

    yield f"{found.service}   {found.source or 'not in Git (any more)'}"
    yield from columns(_heading(found, now), indent="  ")
    yield from section("the last it wrote before it failed", found.last_words)
    yield from section("settings", columns((one.attribute, _short(one.value), str(one.source)) for one in found.settings))
    yield from section("depends on", columns(_dependency(one) for one in found.depends_on))
    yield from section("containers", (line for one in found.containers for line in _container_lines(one, now)))
    yield from section("ports", map(reason_text, found.ports))
    yield from section("gateway", (line for one in found.traffic for line in listener_lines(one)))
    yield from section("to do now", (line for one in found.doing for line in _group_lines(one)))
    yield from section("waits", (f"{one.what}, once {one.on}{ending(one)}" for one in found.waiting))
    yield from section("held", map(held_text, found.kept_back))
    yield from section("blocked", (line for one in found.blocked for line in blocked_lines(one)))
    before = ((stamp(one.at), f"{age(one.at, now)} ago", one.what + _often(one)) for one in found.setbacks)
    yield from section("went wrong before", columns(before))


def _heading(found: Explanation, now: datetime) -> Iterator[tuple[str, str]]:
    status, revision = found.status, found.revision
    if status is not None and found.seen_at is not None:
        message = f": {status.message}" if status.message else ""
        then = f" (seen at {stamp(found.seen_at)})" if (now - found.seen_at).total_seconds() > 60 else ""
        yield "is", f"{status.sync} {status.health}, {status.ready} of {status.wanted} ready{message}{then}"
    if revision is not None:
        yield "asked by", revision_text(revision, now)
    if found.held:
        yield "held", f"this version failed: {found.held}; `reconciler retry {found.service}` tries it again"
    if revision is not None and found.applied != revision.id:
        yield "applied", f"{found.applied[:7]} was the last revision applied whole" if found.applied else "no revision yet"
    if found.order:
        yield "updates", found.order


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def _dependency(one: Dependency) -> tuple[str, ...]:
    return one.service, one.condition, f"{one.status.sync} {one.status.health}" if one.status else ""


def _container_lines(one: Container, now: datetime) -> Iterator[str]:
    from reconciler.plan.render import reason_text

    since = f"for {age(one.since, now)}" if one.since else ""
    made = f"made for {_commit(one)}" if one.revision else "not made by us"
    yield f"{one.name}  {one.id[:ID_LENGTH]}  {one.state} {since}  {one.image}  {made}"
    yield from (f"  differs: {reason_text(reason)}" for reason in one.differs)


def _commit(one: Container) -> str:
    commit = one.commit
    return f'{commit.short} "{commit.subject}", {commit.author}' if commit and commit.author else one.revision[:7]


def _often(one: Setback) -> str:
    return f" ({one.times} times since {stamp(one.since)})" if one.times > 1 and one.since else ""


def _group_lines(group: Group) -> Iterator[str]:
    from reconciler.plan.render import SYMBOLS, reason_text

    yield f"{SYMBOLS[group.verb]} {group.title}"
    yield from (f"    {reason_text(reason)}" for reason in group.reasons)


# --- for programs ----------------------------------------------------------------------------------------------------


def data(value: object) -> Any:
    """Return a value as JSON can hold it: dataclasses as objects, places in files and times as text."""
    match value:
        case Mark():
            return str(value)
        case datetime():
            return value.isoformat()
        case tuple():
            return [data(one) for one in value]
        case frozenset():
            return sorted(value)
        case _ if is_dataclass(value):
            return {one.name: data(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value
