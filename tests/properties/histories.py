"""What may happen to an environment: what do people push, what do their hands do, and what breaks meanwhile?

A history is a list of steps. It prints as a script in the language of tests/scenarios: what fails here can be kept there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from asked import VERSIONS, Asked, Service, Stack, kind_of, repository
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

STACKS = ("shop", "blog")
SERVICES = ("api", "db", "job", "web")
JOB = "job"
GOOD = (*(f"{kind}:{version}" for kind in ("web", "plain") for version in VERSIONS), "slow:1", "deaf:1", "far:1")
ENDING = ("task:1", "task:2")
BAD = ("sick:1", "crash:1", "broken:1", "flop:1")


@dataclass(frozen=True, slots=True)
class Push:
    """Somebody pushes a revision that asks for this. It prints as a `push` with every file."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class Say:
    """One line of a script, such as `kill shop-web-1` or `fail 2 after`."""

    command: str


@dataclass(frozen=True, slots=True)
class Break:
    """Somebody pushes a revision that cannot be read."""


Step = Push | Say | Break


@dataclass(frozen=True, slots=True)
class History:
    """Everything that happens. `leased`: two reconcilers are there, and a lease says who may act."""

    steps: tuple[Step, ...]
    leased: bool = False

    def __repr__(self) -> str:
        return "\n".join(("", *(["# two reconcilers, one lease"] if self.leased else []), *script(self), ""))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let hypothesis print the script, too."""
        printer.text(repr(self))


def script(history: History) -> Iterator[str]:
    """Yield a history's lines as a scenario: the images it needs, then what happens."""
    pushes = [step.asked for step in history.steps if isinstance(step, Push)]
    yield from images(sorted({service.image for asked in pushes for _, service in asked.each()}))
    before: dict[str, str] = {}
    for step in history.steps:
        if isinstance(step, Say):
            yield step.command
            continue
        files = repository(step.asked) if isinstance(step, Push) else {**before, **BROKEN}
        yield "push <<EOF"
        yield from written(before, files)
        yield "EOF"
        before = files


def images(references: Sequence[str]) -> Iterator[str]:
    """Yield the commands that build and publish images."""
    for reference in references:
        kind = kind_of(reference)
        how = "".join(f" {name}={'yes' if value is True else value}" for name, value in kind.how.items())
        yield f"image {reference}{how}{'' if kind.local else ' local=no'}"


def written(before: dict[str, str], files: dict[str, str]) -> Iterator[str]:
    for path in sorted(before.keys() - files.keys()):
        yield f"-- {path}"
    for path, text in sorted(files.items()):
        if before.get(path) != text:
            yield f"== {path}"
            yield from text.splitlines()


BROKEN = {"reconciler.yaml": "stacks: [\n"}


# --- what people push ------------------------------------------------------------------------------------------------

Edit = Callable[[Asked], Asked]


def pushes(asked: Asked, images: Sequence[str], least: int = 1) -> st.SearchStrategy[tuple[Edit, ...]]:
    """Return a strategy for one commit: a few edits, most of them of what is there."""
    there = tuple((stack.name, service.name) for stack, service in asked.each())
    return st.lists(_edits(there, tuple(images)), min_size=least, max_size=2 * least + 1).map(tuple)


@cache
def _edits(there: tuple[tuple[str, str], ...], images: tuple[str, ...]) -> st.SearchStrategy[Edit]:
    """Return a strategy for one edit where these services are there; made once for each, for it takes long to make."""
    place = st.sampled_from((*there * 3, *PLACES[: 2 + 2 * len(there)]))
    return st.one_of(
        st.builds(_set, place, st.just("image"), st.sampled_from(images)),
        st.builds(_set, place, st.just("image"), st.sampled_from(images)),
        st.builds(_set, place, st.just("replicas"), st.sampled_from((0, 1, 2, 3))),
        st.builds(_set_feature, place, st.sampled_from(FEATURES)),
        st.builds(_set_feature, place, st.sampled_from(FEATURES)),
        st.builds(_set, place, st.just("networks"), st.sampled_from((("front",), ("back", "front"), ()))),
        st.builds(_await, place, st.integers(0, 2), st.sampled_from(("healthy", "started", "restart"))),
        st.builds(_await, place, st.integers(0, 2), st.just("healthy")),
        st.builds(_migrate, place, st.sampled_from(ENDING)),
        st.builds(_share, place, st.integers(0, 2)),
        st.builds(_drop, place),
        st.sampled_from((_toggle_internal, _toggle_needs)),
    )


PLACES = tuple((stack, service) for stack in STACKS for service in SERVICES)
FEATURES: tuple[tuple[str, Any], ...] = (
    ("mode", "b"), ("mode", "c"), ("memory", 64), ("memory", 128), ("memory", 0), ("volume", True), ("anonymous", True),
    ("port", 8080), ("port", 8081), ("port", 0), ("container_name", "one"), ("container_name", "two"), ("container_name", ""),
    ("networks", ("front",)), ("networks", ("back", "front")), ("networks", ()), ("order", "start-first"),
    ("order", "stop-first"), ("parallelism", 2), ("parallelism", 0), ("delay", 10), ("failure_action", "pause"),
    ("failure_action", "continue"), ("hooks", True), ("content", "a"), ("content", "b"), ("secret", "x"), ("secret", "y"),
    ("read_only", True), ("restart", "no"), ("restart", "always"), ("restart", "on-failure"), ("needs", ()), ("shares", ""),
    *(("volume", True), ("secret", "x"), ("container_name", "one"), ("port", 8080), ("failure_action", "rollback")) * 2,
)  # fmt: skip


def _set(place: tuple[str, str], attribute: str, value: Any) -> Edit:
    """Set an attribute of a service; one that is not there yet comes with it."""
    return lambda asked: _changed(asked, place, lambda service: replace(service, **{attribute: value}))


def _set_feature(place: tuple[str, str], feature: tuple[str, Any]) -> Edit:
    return _set(place, *feature)


def _await(place: tuple[str, str], which: int, condition: str) -> Edit:
    """Let a service wait for one of those before it, for what that one can become."""

    def awaiting(asked: Asked) -> Asked:
        on = _before(asked, place, which)
        if on is None:
            return asked
        possible = "completed" if on.kind.ends else condition if on.kind.health or condition != "healthy" else "started"
        return _changed(asked, place, lambda service: _waiting(service, f"{on.name} {possible}"))

    return awaiting


def _migrate(place: tuple[str, str], image: str) -> Edit:
    """Let a service wait for a job."""

    def migrating(asked: Asked) -> Asked:
        asked = _changed(asked, (place[0], JOB), lambda job: replace(job, image=image))
        return asked if place[1] <= JOB else _changed(asked, place, lambda one: _waiting(one, f"{JOB} completed"))

    return migrating


def _waiting(service: Service, need: str) -> Service:
    on = need.partition(" ")[0]
    return replace(service, needs=(*(known for known in service.needs if not known.startswith(f"{on} ")), need))


def _share(place: tuple[str, str], which: int) -> Edit:
    def sharing(asked: Asked) -> Asked:
        owner = _before(asked, place, which)
        return _changed(asked, place, lambda service: replace(service, shares=owner.name if owner else ""))

    return sharing


def _before(asked: Asked, place: tuple[str, str], which: int) -> Service | None:
    """Return one of the services that stand before a place: only they can be looked at, so that nothing waits in a circle."""
    stack = asked.stack(place[0])
    earlier = [service for service in stack.services if service.name < place[1]] if stack else []
    return earlier[which % len(earlier)] if earlier else None


def _drop(place: tuple[str, str]) -> Edit:
    def dropped(asked: Asked) -> Asked:
        name, gone = place
        stacks = tuple(
            replace(stack, services=tuple(one for one in stack.services if (stack.name, one.name) != (name, gone)))
            for stack in asked.stacks
        )
        return replace(asked, stacks=tuple(stack for stack in stacks if stack.services or stack.name == STACKS[0]))

    return dropped


def _toggle_internal(asked: Asked) -> Asked:
    return replace(asked, stacks=tuple(replace(stack, internal=not stack.internal) for stack in asked.stacks))


def _toggle_needs(asked: Asked) -> Asked:
    first, *others = asked.stacks
    return Asked((first, *(replace(stack, needs=() if stack.needs else (first.name,)) for stack in others)))


def _changed(asked: Asked, place: tuple[str, str], change: Callable[[Service], Service]) -> Asked:
    name, wanted = place
    stacks = {stack.name: stack for stack in (*asked.stacks, *(() if asked.stack(name) else (Stack(name),)))}
    stack = stacks[name]
    services = {service.name: service for service in stack.services}
    services[wanted] = change(services.get(wanted) or Service(wanted, GOOD[0]))
    stacks[name] = replace(stack, services=tuple(services[key] for key in sorted(services)))
    return Asked(tuple(stacks[key] for key in STACKS if key in stacks))


def edited(asked: Asked, edits: Sequence[Edit]) -> Asked:
    """Make some edits, then leave out what Compose or the engine would refuse."""
    for edit in edits:
        asked = edit(asked)
    return sensible(asked)


LASTING = ("always", "unless-stopped")
"""Who restarts so stays up. Others may end well, for good: nobody can wait for their health."""


def sensible(asked: Asked) -> Asked:
    """Return the nearest thing that can be asked: no two services of one name or port, no wait for what cannot come."""
    taken: set[object] = set()
    stacks: list[Stack] = []
    for stack in asked.stacks:
        services: list[Service] = []
        for service in stack.services:
            services.append(_sensible(service, {one.name: one for one in services}, stack, taken))
        stacks.append(replace(stack, services=tuple(services)))
    return Asked(tuple(stacks))


def _sensible(service: Service, before: dict[str, Service], stack: Stack, taken: set[object]) -> Service:
    """A service may only look at those before it, so that nothing waits in a circle."""
    owner = before.get(service.shares)
    if owner is None or owner.shares or owner.replicas != 1:
        service = replace(service, shares="")
    needs = tuple(f"{on} {condition}" for on, condition in service.conditions.items() if _can_come(before.get(on), condition))
    service = replace(service, needs=needs)
    if service.shares:
        service = replace(service, port=0, networks=())
    service = replace(service, port=_untaken(service.port, taken), container_name=_untaken(service.container_name, taken))
    if service.port or service.container_name or service.kind.ends:
        service = replace(service, replicas=1)
    if service.kind.ends:
        service = replace(service, restart="no", port=0)
    if service.restart == "always" and (service.volume or service.anonymous or service.port):
        # An engine that comes up starts all of its kind, the replaced and the new one: nobody could keep them apart.
        service = replace(service, restart="unless-stopped")
    return service


def _can_come(on: Service | None, condition: str) -> bool:
    if on is None:
        return False
    match condition:
        case "healthy":
            return on.kind.health and on.restart in LASTING
        case "completed":
            return on.kind.ends
        case "restart":
            return not on.kind.ends
        case _:
            return True


Value = TypeVar("Value", int, str)


def _untaken(value: Value, taken: set[object]) -> Value:
    """Return the value if nobody has it yet, else none."""
    if value in taken:
        return type(value)()
    if value:
        taken.add(value)
    return value


# --- what happens ----------------------------------------------------------------------------------------------------

PACES = ("turn", "settle 2s", "settle 10s", "settle 5m", "")
"""How long the reconciler is left alone after each event; "" for not at all."""

EVENTS = (
    *("restart", "engine restart", "engine down", "engine up", "lose state", "lose key", "jump 2h", "jump -2h", "advance 3s"),
    *("advance 12m", "remote down", "remote gone", "remote up", "registry far:1 500", "registry far:1 ok"),
)
HANDS = ("kill {}", "stop {}", "rm {}", "pause {}", "dies {}", "sickens {}", "rename {} aside", "update {} memory=32m")


def is_disturbed(history: History) -> bool:
    """Say whether a new container may seem to have failed that works.

    So it is where something ends processes, and where the clock was set and nobody is there any more who noticed.
    """
    said = [step.command for step in history.steps if isinstance(step, Say)]
    by_hand = any(command.startswith(hand.partition(" ")[0] + " ") for command in said for hand in HANDS)
    engine = any(command.endswith(" restart") for command in said)
    process = any(command.startswith(("restart", "crash", "lose")) for command in said)
    return by_hand or engine or (process and is_clock_set(history))


def is_clock_set(history: History) -> bool:
    return any(isinstance(step, Say) and step.command.startswith("jump") for step in history.steps)


@st.composite
def histories(draw: st.DrawFn, *, most: int = 9) -> History:
    """Return a strategy for histories in which anything may happen."""
    asked, steps = Asked((Stack(STACKS[0]),)), list[Step]()
    for number in range(draw(st.integers(1, most))):
        if number == 0 or draw(st.booleans()):
            asked = edited(asked, draw(pushes(asked, (*GOOD, *ENDING, *BAD), 1 if number else 3)))
            steps.append(Push(asked))
        else:
            steps.append(draw(_events(asked)))
        steps.extend(Say(pace) for pace in (draw(st.sampled_from(PACES)),) if pace)
    return History(tuple(steps), leased=draw(st.integers(0, 3)) == 3)


def _events(asked: Asked) -> st.SearchStrategy[Step]:
    calls = st.integers(1, 6)
    lost = st.sampled_from(("before", "halfway", "after", "refuse", "conflict", "before", "after", "restart", "down"))
    hands = st.sampled_from(tuple(_hands(asked)))
    return st.one_of(
        st.sampled_from(EVENTS).map(Say),
        st.builds("fail {} {}".format, calls, lost).map(Say),
        st.builds("crash {} {}".format, calls, st.sampled_from(("before", "halfway", "after"))).map(Say),
        st.sampled_from((Break(), Say("remote down"), Say("remote gone"), Say("lose key"), Say("lose state"))),
        hands.map(Say),
        hands.map(Say),
    )


def _hands(asked: Asked) -> Iterator[str]:
    """Yield what people may do to what is asked for, and to what is on its way."""
    yield "rm-image web:1"
    for stack, service in asked.each():
        for name in stack.names(service):
            yield from (hand.format(one) for hand in HANDS for one in (name, name, f"{name}.next"))
            yield from (f"disconnect {name} {network}" for network in sorted(stack.networks(service)) * 5)


@st.composite
def calm_histories(draw: st.DrawFn) -> History:
    """Return a strategy for histories of good revisions only, each applied whole before the next, with nothing going wrong."""
    first = Service(draw(st.sampled_from(SERVICES)), GOOD[0], replicas=draw(st.integers(1, 3)), volume=draw(st.booleans()))
    asked, steps = Asked((Stack(STACKS[0], (first,)),)), list[Step]()
    for number in range(draw(st.integers(2, 4))):
        asked = edited(asked, draw(pushes(asked, GOOD, 1 if number else 3)))
        steps += (Push(asked), Say("settle 30m"))
    return History(tuple(steps))


# --- what can be tried on an engine, too -----------------------------------------------------------------------------

ENGINE_IMAGES = ("web:1", "web:2", "web:3", "task:1", "crash:1")
ENGINE_HANDS = ("kill", "stop", "rm", "pause", "rename", "update", "disconnect")
"""What people do by hand that an engine can be told to do: it cannot be told that a process gets sick."""


@st.composite
def engine_histories(draw: st.DrawFn) -> History:
    """Return a strategy for short histories that leave nothing to chance: after each event the reconciler comes to rest."""
    asked, steps = Asked((Stack(STACKS[0]),)), list[Step]()
    for number in range(5):
        if number == 0 or draw(st.integers(0, 2)):
            asked = _steady(edited(asked, draw(pushes(asked, ENGINE_IMAGES, 1 if number else 2))), asked)
            steps += ([draw(_engine_faults())] if draw(st.booleans()) else []) + [Push(asked)]
        else:
            hands = [hand for hand in _hands(asked) if hand.split()[0] in ENGINE_HANDS and ".next" not in hand]
            steps.append(Say(draw(st.sampled_from((*hands, "restart", "lose key", "lose state")))))
        steps.append(Say("settle 5m"))
    return History(tuple(steps))


def _engine_faults() -> st.SearchStrategy[Say]:
    fault = st.builds(
        "{} {} {}".format, st.sampled_from(("fail", "crash")), st.integers(1, 6), st.sampled_from(("before", "after"))
    )
    return fault.map(Say)


def _steady(asked: Asked, before: Asked) -> Asked:
    """Leave out what never rests, such as a first version that fails, and what takes long on an engine."""

    def rests(stack: Stack, service: Service) -> Service:
        old = before.find(stack.name, service.name)
        good = service.works or (old is not None and old.works and old.replicas and not old.needs and not old.shares)
        image = service.image if good else GOOD[0]
        return replace(service, image=image, hooks=False, delay=0, failure_action="rollback")

    stacks = (replace(stack, services=tuple(rests(stack, service) for service in stack.services)) for stack in asked.stacks)
    return sensible(Asked(tuple(stacks)))


def samples(strategy: st.SearchStrategy[History], count: int) -> tuple[History, ...]:
    """Return some histories, always the same: the ones in which most happens of a few more."""
    found: list[History] = []

    @seed(1)
    @settings(max_examples=4 * count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(history: History) -> None:
        found.append(history)

    collect()
    return tuple(sorted(found, key=lambda history: len("\n".join(script(history))))[-count:])
