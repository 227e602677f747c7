"""Collect a plan while it is being made: groups, actions in chains, and what has to wait."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.errors import Mark
from reconciler.model.plan import Action, Blocked, Failure, Group, Held, Reason, Step, Verb, Waiting
from reconciler.model.rollout import Course


@dataclass(slots=True)
class Draft:
    """A plan in the making.

    provides  what an action of this plan brings about -> its id: "network:shop_default", "image:web:2", "name:shop-web-1",
              "port:8080/tcp", "container:shop/web"; whoever uses it needs that action first
    lacking   "network:edge" -> why nobody can use it
    renewed   names of networks that this plan makes anew
    staged    service id -> what becomes of its rollout
    busy      groups whose actions of an earlier plan are still in flight
    """

    groups: dict[str, Group] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    drift: list[Group] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provides: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)
    staged: dict[str, Course] = field(default_factory=dict)
    complete: bool = True
    busy: frozenset[str] = frozenset()

    def group(self, key: str, stack: str, name: str, verb: Verb, title: str, reasons: Iterable[Reason]) -> str:
        """Open a group, or add reasons to the one that is open under that key. Returns the key.

        The first verb and title stand, except that a group opened without a title takes the next ones.
        """
        known = self.groups.get(key)
        if known is not None:
            verb, title = (known.verb, known.title) if known.title else (verb, title)
            reasons = (*known.reasons, *reasons)
        self.groups[key] = Group(key, stack, name, verb, title, tuple(dict.fromkeys(reasons)))
        return key

    def act(self, id: str, change: Step, group: str, reasons: Iterable[Reason], needs: Iterable[str] = ()) -> str:
        """Add an action. Returns its id."""
        known = self.groups.get(group)
        after = tuple(dict.fromkeys(needs))
        self.actions.append(Action(id, change, group, tuple(reasons), after, known.verb if known else Verb.UPDATE))
        return id

    def chain(self, group: str, prefix: str, reasons: Iterable[Reason], needs: Iterable[str] = ()) -> Chain:
        """Begin a run of actions, each needing the one before."""
        return Chain(self, group, prefix, tuple(reasons), tuple(needs))

    def wait(self, group: str, what: str, on: str, *, wake_at: datetime | None = None, until: datetime | None = None) -> None:
        """Say what comes later, and what it waits for."""
        entry = Waiting(group, what, on, wake_at, until)
        if entry not in self.waiting:
            self.waiting.append(entry)

    def block(self, group: str, code: str, message: str, hint: str = "", source: Mark | None = None) -> None:
        """Say what a person must decide or repair first."""
        self.blocked.append(Blocked(group, code, message, hint, source))

    def need(self, id: str, needs: Iterable[str]) -> None:
        """Let an action that was added before need others, too."""
        more = tuple(needs)
        if more:
            self.actions = [
                replace(one, needs=tuple(dict.fromkeys((*one.needs, *more)))) if one.id == id else one for one in self.actions
            ]

    def present(self, *ids: str) -> tuple[str, ...]:
        """Return those of the ids that are actions of this plan."""
        return tuple(action.id for action in self.actions if action.id in ids)

    def drop(self, actions: Iterable[Action]) -> None:
        """Leave actions out after all."""
        ids = {action.id for action in actions}
        self.actions = [action for action in self.actions if action.id not in ids]

    def following(self, first: Action) -> tuple[Action, ...]:
        """Return an action and everything that needs it."""
        gone = {first.id}
        while more := {one.id for one in self.actions if one.id not in gone and not gone.isdisjoint(one.needs)}:
            gone |= more
        return tuple(one for one in self.actions if one.id in gone)

    def aside(self) -> Draft:
        """Return a draft for what is only thought through: it knows what this one has, and adds nothing to it."""
        return Draft(provides=dict(self.provides), lacking=dict(self.lacking), renewed=set(self.renewed), busy=self.busy)

    def needed(self, *things: str) -> tuple[str, ...]:
        """Return the actions of this plan that provide these things."""
        return tuple(self.provides[thing] for thing in things if thing in self.provides)


@dataclass(slots=True)
class Chain:
    """Actions one after the other: `then` adds the next and makes it need the last."""

    draft: Draft
    group: str
    prefix: str
    reasons: tuple[Reason, ...]
    needs: tuple[str, ...]

    def then(self, step: str, change: Step, needs: Iterable[str] = ()) -> Chain:
        """Add a step; its id is the chain's prefix and the step's name."""
        id = self.draft.act(f"{self.prefix}/{step}", change, self.group, self.reasons, (*self.needs, *needs))
        self.needs = (id,)
        return self

    @property
    def last(self) -> str:
        """The id of the last step, "" before the first."""
        return self.needs[0] if self.needs else ""
