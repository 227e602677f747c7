"""What must an external registry be told, so that it says of our containers what is so?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.model import catalog
from reconciler.model.catalog import Entry, without
from reconciler.model.plan import Deregister, Reason, Register, Verb
from reconciler.model.traffic import server_name
from reconciler.plan.discovery import leaving, left_by
from reconciler.plan.draft import Draft
from reconciler.plan.reasons import facts
from reconciler.plan.view import World

COMPARED = ("name", "address", "port", "tags", "meta", "standing")
"""How an entry says why it stands so is news to nobody."""


def plan_registration(world: World, found: Iterable[Entry], stopping: Collection[str], draft: Draft) -> None:
    """Plan the difference between what can be found and what the registry says; nobody else's entry is ever looked at.

    `stopping` are the ids of containers that an earlier plan is stopping right now. Whatever this plan stops does so after
    the registry knows that it is about to.
    """
    registered = world.observed.registered
    if registered is None:
        return
    if registered.entries is None:
        if registered.refused:
            draft.block("registry", "R146", registered.trouble, registered.hint)
        else:
            draft.notes.append(f"{registered.trouble}; what it says of us is left as it is")
        return
    at_home = (replace(entry, address=entry.address or registered.address) for entry in found)
    wanted = {entry.id: entry for entry in without(at_home, {*stopping, *leaving(draft.actions)})}
    there = {entry.id: entry for entry in registered.entries}
    told: dict[str, str] = {}
    for id, entry in wanted.items():
        if differences := tuple(_differences(there.get(id), entry)):
            told[server_name(entry.instance)] = _step(draft, entry, Register(registered.url, entry), differences)
    for id, entry in there.items():
        if id not in wanted:
            _step(draft, entry, Deregister(registered.url, id), facts(f"{_title(entry)} is not there"))
    _let_stops_wait(draft, told)


def _step(draft: Draft, entry: Entry, change: Register | Deregister, reasons: Iterable[Reason]) -> str:
    """Add a step to the group of all entries of that name. Returns its id, "" while an earlier plan is at work on them."""
    stack = entry.meta.get(catalog.STACK, "")
    key = f"{stack}/registry/{entry.name}"
    if key in draft.busy:
        draft.wait(key, "go on", "what is in flight has ended")
        return ""
    reasons, verb = tuple(reasons), "register" if isinstance(change, Register) else "deregister"
    group = draft.group(key, stack, f"registry {entry.name}", Verb.UPDATE, "entries", reasons)
    return draft.act(f"{key}/{entry.id}/{verb}", change, group, reasons)


def _differences(there: Entry | None, wanted: Entry) -> Iterator[Reason]:
    title = _title(wanted)
    if there is None:
        yield Reason(f"{title} is not registered")
        return
    for field in COMPARED:
        old, new = getattr(there, field), getattr(wanted, field)
        if old != new:
            yield Reason(f"{title} {field}", _said(old), _said(new))


def _said(value: object) -> str:
    match value:
        case tuple():
            return ", ".join(map(str, value))
        case Mapping():
            return "(changed)"
    return str(value)


def _title(entry: Entry) -> str:
    return entry.meta.get(catalog.CONTAINER) or entry.id


def _let_stops_wait(draft: Draft, told: Mapping[str, str]) -> None:
    """Until nobody is sent there any more."""
    for number, action in enumerate(draft.actions):
        if first := told.get(server_name(left_by(action))):
            draft.actions[number] = replace(action, needs=(*action.needs, first))
