"""What may happen to an environment: what do people push, what do their hands do, and what breaks meanwhile?

A history is a list of steps. It prints as a script in the language of tests/scenarios: what fails here can be kept there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from asked import KINDS, VERSIONS, Asked, Service, Stack, repository
from hypothesis import strategies as st

STACKS = ("shop", "blog")
SERVICES = ("api", "db", "job", "web")
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
        kind = KINDS[reference.partition(":")[0]]
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
    there = [(stack.name, service.name) for stack, service in asked.each()]
    place = st.sampled_from((*there * 3, *PLACES[: 2 + 2 * len(there)]))
    edits = st.one_of(
        st.builds(_set, place, st.just("image"), st.sampled_from(images)),
        st.builds(_set, place, st.just("image"), st.sampled_from(images)),
        st.builds(_set, place, st.just("replicas"), st.sampled_from((0, 1, 2, 3))),
        st.builds(_set_feature, place, st.sampled_from(FEATURES)),
        st.builds(_set_feature, place, st.sampled_from(FEATURES)),
        st.builds(_await, place, st.sampled_from(SERVICES), st.sampled_from(("started", "healthy", "completed", "restart"))),
        st.builds(_share, place, st.sampled_from(SERVICES)),
        st.builds(_drop, place),
        st.sampled_from((_toggle_internal, _toggle_needs)),
    )
    return st.lists(edits, min_size=least, max_size=2 * least + 1).map(tuple)


PLACES = tuple((stack, service) for stack in STACKS for service in SERVICES)
FEATURES: tuple[tuple[str, Any], ...] = (
    ("mode", "b"), ("mode", "c"), ("memory", 64), ("memory", 128), ("memory", 0), ("volume", True), ("anonymous", True),
    ("port", 8080), ("port", 8081), ("port", 0), ("container_name", "one"), ("container_name", "two"), ("container_name", ""),
    ("networks", ("front",)), ("networks", ("back", "front")), ("networks", ()), ("order", "start-first"),
    ("order", "stop-first"), ("parallelism", 2), ("parallelism", 0), ("delay", 10), ("failure_action", "pause"),
    ("failure_action", "continue"), ("hooks", True), ("content", "a"), ("content", "b"), ("secret", "x"), ("secret", "y"),
    ("read_only", True), ("restart", "no"), ("restart", "always"), ("restart", "on-failure"), ("needs", ()), ("shares", ""),
)  # fmt: skip


def _set(place: tuple[str, str], attribute: str, value: Any) -> Edit:
    """Set an attribute of a service; one that is not there yet comes with it."""
    return lambda asked: _changed(asked, place, lambda service: replace(service, **{attribute: value}))


def _set_feature(place: tuple[str, str], feature: tuple[str, Any]) -> Edit:
    return _set(place, *feature)


def _await(place: tuple[str, str], on: str, condition: str) -> Edit:
    def awaiting(service: Service) -> Service:
        kept = tuple(need for need in service.needs if not need.startswith(f"{on} "))
        return replace(service, needs=(*kept, f"{on} {condition}"))

    return lambda asked: _changed(asked, place, awaiting)


def _share(place: tuple[str, str], owner: str) -> Edit:
    return lambda asked: _changed(asked, place, lambda service: replace(service, shares=owner))


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
    if owner is None or owner.kind.ends or owner.shares or owner.replicas != 1:
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
            return on.kind.health
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
    *("advance 12m", "remote down", "remote gone", "remote up", "registry far:1 500", "registry far:1 ok", "rm-image web:1"),
)
HANDS = (
    *("kill {}", "stop {}", "rm {}", "pause {}", "dies {}", "sickens {}", "rename {} aside", "update {} memory=32m"),
    *("disconnect {} shop_default", "disconnect {} shop_front"),
)


def disturbs(step: Step) -> bool:
    """Say whether a step ends processes: a new container that ends so has failed, for all that anybody can see."""
    if not isinstance(step, Say):
        return False
    first, *others = step.command.split()
    by_hand = any(hand.startswith(f"{first} ") for hand in HANDS)
    return by_hand or others[-1:] == ["restart"]


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
    final = [name for stack, service in asked.each() for name in stack.names(service)]
    names = [*final, *(f"{name}.next" for name in final)]
    calls, whens = st.integers(1, 6), st.sampled_from(("before", "halfway", "after"))
    happens = [
        st.sampled_from(EVENTS).map(Say),
        st.builds("fail {} {}".format, calls, st.sampled_from(("before", "halfway", "after", "refuse", "conflict"))).map(Say),
        st.builds("fail {} {}".format, calls, st.sampled_from(("restart", "down"))).map(Say),
        st.builds("crash {} {}".format, calls, whens).map(Say),
        st.just(Break()),
    ]
    hands = st.builds(str.format, st.sampled_from(HANDS), st.sampled_from(names)).map(Say) if names else st.nothing()
    return st.one_of(*happens, hands)


@st.composite
def calm_histories(draw: st.DrawFn) -> History:
    """Return a strategy for histories of good revisions only, each applied whole before the next, with nothing going wrong."""
    asked, steps = Asked((Stack(STACKS[0]),)), list[Step]()
    for number in range(draw(st.integers(2, 4))):
        asked = edited(asked, draw(pushes(asked, GOOD, 1 if number else 3)))
        steps += (Push(asked), Say("settle 30m"))
    return History(tuple(steps))
