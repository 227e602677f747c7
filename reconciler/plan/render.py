"""Print a plan: as text for people, as Markdown for a pull request, as data for programs. No value a person may not see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.model.plan import Action, Blocked, Group, Held, Plan, Reason, Step, Verb, Waiting
from reconciler.plan.suspended import tally, until

SYMBOLS = {Verb.CREATE: "+", Verb.UPDATE: "~", Verb.HEAL: "!", Verb.REMOVE: "-"}


def text(plan: Plan, *, actions: bool = False) -> str:
    """Return the plan as people read it; `actions` lists every single call too."""
    return "\n".join(_lines(plan, actions)) + "\n"


def _lines(plan: Plan, actions: bool) -> Iterator[str]:
    yield _heading(plan)
    stack = None
    for group in plan.groups:
        if group.stack != stack:
            stack = group.stack
            yield f"  stack {stack}" if stack else "  environment"
        yield from _group(group, plan)
    if actions and plan.actions:
        yield "  actions"
        yield from (f"    {line}" for line in steps(plan.actions))
    shown = {group.key for group in plan.groups}
    yield from _section("waiting", (f"{one.what}, once {one.on}" for one in plan.waiting if one.group not in shown))
    yield from _section("failed", (f"{failure.service}: {failure.message}" for failure in plan.failures))
    yield from _section("held", (held_text(one) for one in plan.held))
    yield from _section("drift, not healed", (_drift(group) for group in plan.drift))
    yield from _section("blocked", (line for blocked in plan.blocked for line in _blocked(blocked)))
    yield from _section("notes", plan.notes)
    yield summary(plan)


def _heading(plan: Plan) -> str:
    subject = f' "{plan.revision_subject}"' if plan.revision_subject else ""
    was = f" (was {plan.was[:7]})" if plan.was and plan.was != plan.revision_id else ""
    return f"Plan for {plan.environment} at {plan.revision_id[:7]}{subject}{was}"


def _group(group: Group, plan: Plan) -> Iterator[str]:
    yield f"    {SYMBOLS[group.verb]} {group.name}  {group.title}"
    news = telling(group)
    width = max((len(reason.text) for reason in news if reason.old or reason.new), default=0)
    for reason in news:
        yield f"        {reason_text(reason, width)}"
    for waiting in plan.waiting:
        if waiting.group == group.key:
            yield f"        then {waiting.what}, once {waiting.on}"
    yield from (f"        registry: {one.text}" for one in plan.announced if one.group == group.key)


def telling(group: Group) -> tuple[Reason, ...]:
    """Return the reasons that say more than the title does."""
    return tuple(reason for reason in group.reasons if reason_text(reason) != group.title)


def reason_text(reason: Reason, width: int = 0) -> str:
    """Return a reason as one line: what, old and new, where it is written; `width` aligns the first of them."""
    place = f"   {reason.source}" if reason.source else ""
    if not (reason.old or reason.new):
        return f"{reason.text}{place}"
    if reason.old == reason.new:
        return f"{reason.text:<{width}}  {reason.new}{place}"
    return f"{reason.text:<{width}}  {reason.old or '(none)'} → {reason.new or '(none)'}{place}"


def _drift(group: Group) -> str:
    return f"{group.key}: {'; '.join(reason_text(reason) for reason in group.reasons)}"


def _blocked(blocked: Blocked) -> Iterator[str]:
    place = f"   {blocked.source}" if blocked.source else ""
    yield f"[{blocked.code}] {blocked.message}{place}"
    if blocked.hint:
        yield f"    hint: {blocked.hint}"


def held_text(held: Held) -> str:
    """Return in one line what is held back, why, and until when."""
    return f"{held.key}: {held.what or 'nothing to do'}, {held.why} ({until(held.until, held.ends)})"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield f"  {title}"
        yield from (f"    {line}" for line in lines)


def summary(plan: Plan) -> str:
    """Return the last line: how much, and whether something is held back."""
    done = tally(plan.groups) or "nothing to do"
    held = f"{len(plan.blocked)} blocked." if plan.blocked else "Nothing blocked."
    complete = "" if plan.complete else " Incomplete: not everything could be asked."
    return f"Plan: {done}. {held}{complete}"


def steps(actions: Iterable[Action]) -> Iterator[str]:
    """Yield one line for each action, numbered, with the numbers it comes after."""
    numbers = {action.id: number for number, action in enumerate(actions, 1)}
    for action in actions:
        after = f"  after {', '.join(str(numbers[need]) for need in action.needs)}" if action.needs else ""
        yield f"{numbers[action.id]} {action.id}  {verb_of(action.change)}{after}"


def verb_of(change: Step) -> str:
    """Return what a change does, in a word: "CreateInstance" -> "create instance"."""
    name = type(change).__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


# --- Markdown --------------------------------------------------------------------------------------------------------


def markdown(plan: Plan) -> str:
    """Return the plan as a comment on a pull request."""
    lines = [f"### {_heading(plan)}", "", summary(plan), ""]
    for group in plan.groups:
        name = f"{group.stack}/{group.name}" if group.stack else group.name
        lines.append(f"- `{SYMBOLS[group.verb]}` **{_escape(name)}** {_escape(group.title)}")
        lines.extend(f"  - {_code(reason_text(reason))}" for reason in telling(group))
    sections = {
        "Held": [held_text(one) for one in plan.held],
        "Blocked": [line for one in plan.blocked for line in _blocked(one)],
        "Notes": list(plan.notes),
    }
    for title, entries in sections.items():
        if entries:
            lines.extend(["", f"**{title}**", "", *(f"- {_escape(entry.strip())}" for entry in entries)])
    return "\n".join(lines).rstrip() + "\n"


def _escape(value: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in value)


def _code(value: str) -> str:
    return f"`{value.replace('`', chr(39))}`"


# --- data ------------------------------------------------------------------------------------------------------------


def data(plan: Plan, fingerprint: str) -> dict[str, Any]:
    """Return the plan for programs, and for `apply plan.json`: nothing that the text hides."""
    return {
        "api": "v1",
        "environment": plan.environment,
        "revision": plan.revision_id,
        "subject": plan.revision_subject,
        "observed_at": plan.observed_at.isoformat(),
        "fingerprint": fingerprint,
        "complete": plan.complete,
        "groups": [_group_data(group) for group in plan.groups],
        "actions": [
            {"id": one.id, "does": verb_of(one.change), "group": one.group, "needs": list(one.needs)} for one in plan.actions
        ],
        "waiting": [_waiting_data(one) for one in plan.waiting],
        "drift": [_group_data(group) for group in plan.drift],
        "blocked": [
            {"group": one.group, "code": one.code, "message": one.message, "hint": one.hint, "source": str(one.source or "")}
            for one in plan.blocked
        ],
        "held": [held_data(one) for one in plan.held],
        "announced": [{"group": one.group, "text": one.text} for one in plan.announced],
        "notes": list(plan.notes),
    }


def _group_data(group: Group) -> dict[str, Any]:
    reasons = [{"field": one.text, "old": one.old, "new": one.new, "source": str(one.source or "")} for one in group.reasons]
    return {"key": group.key, "verb": group.verb.value, "title": group.title, "reasons": reasons}


def held_data(held: Held) -> dict[str, Any]:
    """Return for programs what is held back."""
    end = held.until.isoformat() if held.until else ""
    return {"key": held.key, "why": held.why, "what": held.what, "until": end, "services": sorted(held.services)}


def _waiting_data(waiting: Waiting) -> dict[str, str]:
    wake = waiting.wake_at.isoformat() if waiting.wake_at else ""
    return {"group": waiting.group, "what": waiting.what, "on": waiting.on, "wake_at": wake}
