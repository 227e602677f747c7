"""What may happen to services behind the gateway, in as few words as such a history needs?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

GOOD = ("web:1", "web:2", "web:3")
BAD = ("sick:1", "crash:1")
IMAGES = {
    **{f"web:{version}": "health_after=1" for version in (1, 2, 3)},
    "sick:1": "never_healthy=yes",
    "crash:1": "exits=1 after=0.5",
    "haproxy:1": "",
    "haproxy:2": "",
}
STRATEGIES = {
    "rolling": "{strategy: rolling, timeout: 40s}",
    "blue-green": "{strategy: blue-green, blue_green: {keep_old: 4s}, timeout: 40s}",
    "canary": "{strategy: canary, canary: {steps: [{weight: 20, pause: 2s}, {weight: 60, pause: 2s}]}, timeout: 40s}",
    "paused": "{strategy: blue-green, on_failure: pause, blue_green: {keep_old: 6s}, timeout: 40s}",
    "recreate": "{strategy: recreate, timeout: 40s}",
}
OVERLAPPING = ("rolling", "blue-green", "canary", "paused")
PORTS = {"api": 8081, "web": 8080}
GATEWAY = "reconciler-gateway-shop"


@dataclass(frozen=True, slots=True)
class Served:
    """A service behind the gateway."""

    name: str
    image: str = GOOD[0]
    replicas: int = 1
    strategy: str = "rolling"
    mode: str = "a"

    @property
    def containers(self) -> tuple[str, ...]:
        return tuple(f"shop-{self.name}-{number}" for number in range(1, self.replicas + 1))


Asked = tuple[Served, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """Somebody pushes a revision that asks for these services."""

    asked: Asked


Step = Push | str
"""A push, or one line of a script in the language of tests/scenarios."""


@dataclass(frozen=True, slots=True)
class History:
    """What happens, beginning with a good revision, and a good one that everything must come to in the end.

    chance  says in which of the possible orders the actions of each plan are carried out
    """

    steps: tuple[Step, ...]
    last: Asked
    chance: int

    def __repr__(self) -> str:
        return "\n".join(("", f"# chance {self.chance}", *script(self), ""))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let hypothesis print the script."""
        printer.text(repr(self))


def script(history: History) -> Iterator[str]:
    """Yield a history's lines as a scenario."""
    yield from (f"image {reference} {how}".rstrip() for reference, how in IMAGES.items())
    for step in (*history.steps, Push(history.last)):
        if isinstance(step, str):
            yield step
        else:
            yield from ("push <<EOF", "== compose.yaml", *compose(step.asked), "EOF")


def compose(asked: Asked) -> Iterator[str]:
    """Yield the lines of a compose file that asks for these services."""
    yield "name: shop"
    yield "services:" if asked else "services: {}"
    for one in asked:
        yield f"  {one.name}:"
        yield f"    image: {one.image}"
        yield "    restart: unless-stopped"
        yield "    healthcheck: {test: [CMD, check], interval: 1s, retries: 2}"
        yield f"    environment: {{MODE: {one.mode}}}"
        yield f'    ports: ["{PORTS[one.name]}:80"]'
        yield f"    deploy: {{replicas: {one.replicas}}}"
        yield "    x-traffic: gateway"
        yield f"    x-rollout: {STRATEGIES[one.strategy]}"


# --- what happens ----------------------------------------------------------------------------------------------------

PACES = ("turn", "turn", "settle 1s", "settle 3s", "settle 8s", "settle 1m", "")
FAULTS = ("before", "halfway", "after", "refuse", "conflict")
HANDS = ("kill", "stop", "rm", "sickens", "dies")


@st.composite
def histories(draw: st.DrawFn, *, most: int = 8) -> History:
    """Return a strategy for histories of one or two services behind the gateway."""
    recreated = draw(st.sampled_from((*PORTS, "", "", "")))
    asked = tuple(draw(_services(name, recreated)) for name in draw(st.sampled_from((("web",), ("api", "web")))))
    steps: list[Step] = [Push(asked), "settle 1m"]
    for _ in range(draw(st.integers(1, most))):
        if draw(st.integers(0, 2)):
            asked = draw(_edited(asked, recreated))
            steps.append(Push(asked))
        else:
            steps.append(draw(_events(asked)))
        steps += [pace for pace in (draw(st.sampled_from(PACES)),) if pace]
    last = tuple(replace(one, image=draw(st.sampled_from(GOOD))) for one in asked)
    return History(tuple(steps), last, draw(st.integers(0, 1 << 16)))


def is_disturbed(history: History) -> bool:
    """Say whether a new container that works may seem to have failed: somebody ended or stopped it, or said so."""
    said = [step for step in history.steps if isinstance(step, str)]
    by_hand = any(step.startswith(f"{hand} shop-") for step in said for hand in HANDS)
    return by_hand or any(step == "engine restart" or step.startswith("rollout ") for step in said)


def _services(name: str, recreated: str) -> st.SearchStrategy[Served]:
    strategies = ("recreate",) if name == recreated else OVERLAPPING
    return st.builds(
        Served, st.just(name), st.sampled_from(GOOD), st.integers(1, 3), st.sampled_from(strategies), st.sampled_from("ab")
    )


@st.composite
def _edited(draw: st.DrawFn, asked: Asked, recreated: str) -> Asked:
    """Change something of one of the services, or take it out or in."""
    name = draw(st.sampled_from(sorted(PORTS)))
    known = next((one for one in asked if one.name == name), None)
    others = [one for one in asked if one.name != name]
    if known is None:
        return tuple(sorted((*others, draw(_services(name, recreated))), key=lambda one: one.name))
    if others and draw(st.integers(0, 9)) == 0:
        return tuple(others)
    changes: dict[str, Any] = {}
    for what in draw(st.sets(st.sampled_from(("image", "image ", "replicas", "mode", "strategy")), min_size=1, max_size=2)):
        match what.strip():
            case "image":
                changes["image"] = draw(st.sampled_from((*GOOD, *GOOD, *BAD)))
            case "replicas":
                changes["replicas"] = draw(st.integers(1, 3))
            case "mode":
                changes["mode"] = "b" if known.mode == "a" else "a"
            case _:
                changes["strategy"] = known.strategy if name == recreated else draw(st.sampled_from(OVERLAPPING))
    return tuple(sorted((*others, replace(known, **changes)), key=lambda one: one.name))


def _events(asked: Asked) -> st.SearchStrategy[str]:
    names = [name for one in asked for name in one.containers]
    containers = st.sampled_from([*names, *(f"{name}.next" for name in names)])
    calls, words = st.integers(1, 8), st.sampled_from(("promote", "pause", "resume", "abort"))
    return st.one_of(
        st.builds("crash {} {}".format, calls, st.sampled_from(("before", "halfway", "after"))),
        st.builds("crash {} {}".format, calls, st.sampled_from(("before", "after"))),
        st.builds("fail {} {}".format, calls, st.sampled_from(FAULTS)),
        st.sampled_from(("lose state", "restart", "lose state", f"kill {GATEWAY}", f"rm {GATEWAY}", "engine restart")),
        st.sampled_from(("gateway haproxy:2", "gateway haproxy:1", "hush 3s")),
        st.builds("{} {}".format, st.sampled_from(HANDS), containers),
        st.builds("busy {} {}".format, containers, st.sampled_from((0, 2, 5))),
        st.builds("rollout {} shop/{}".format, words, st.sampled_from([one.name for one in asked])),
    )
