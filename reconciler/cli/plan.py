"""Show what would change, and why: `reconciler plan`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.wiring import Workplace

CHANGES = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--exit-code", action="store_true", help="0 nothing to do, 2 changes, 1 error, blocked or incomplete")
    parser.add_argument("--out", metavar="FILE", help="write the plan for `apply FILE`")
    parser.add_argument("--actions", action="store_true", help="list every single call")
    parser.add_argument("--base", metavar="REV", help="plan from this revision instead of the engine")
    parser.add_argument("--head", metavar="REV", help="plan to this revision (default: the newest)")


def run(args: argparse.Namespace) -> int:
    """Print the plan on stdout. Changes nothing, on the engine or in the state directory's history."""
    place = place_of(args)
    if args.base or args.head:
        plan, mark = _between(place, args.base, args.head), ""
    else:
        plan, mark = _against_engine(place)
    if args.out:
        if not mark:
            raise UsageError("--out needs an engine: a plan between two revisions is bound to nothing")
        Path(args.out).write_text(_json(plan, mark))
    sys.stdout.write(_printed(plan, mark, args))
    return _code(plan) if args.exit_code else 0


def _against_engine(place: Workplace) -> tuple[Plan, str]:
    from reconciler.observe import observe
    from reconciler.plan import make_plan
    from reconciler.plan.fingerprint import fingerprint

    source, load, history = place.source(), place.load(), place.store().history()
    revision = source.fetch()
    desired = load(source.files(revision.id), revision)
    previous = previous_of(source, load, history.applied)
    observed = observe(place.runtime(), desired, history, previous)
    plan = make_plan(desired, observed, history, previous)
    return plan, fingerprint(plan, observed)


def previous_of(source, load, applied: str):  # type: ignore[no-untyped-def]
    """Return the last revision applied whole, or None when there is none or it can no longer be read."""
    from reconciler.errors import ReconcilerError

    if not applied:
        return None
    try:
        revision = source.revision(applied)
        return load(source.files(revision.id), revision)
    except ReconcilerError:
        return None


def _between(place: Workplace, base: str | None, head: str | None) -> Plan:
    """Plan from Git alone, as if everything of `base` ran: for pull requests."""
    from reconciler.plan import make_plan
    from reconciler.plan.assume import assume

    if not base:
        raise UsageError("--head needs --base", hint="name the revision to compare with: --base main")
    source, load = place.source(), place.load()
    source.fetch()
    old, new = source.revision(base), source.revision(head or "HEAD")
    before, after = load(source.files(old.id), old), load(source.files(new.id), new)
    images = {service.image for stack in after.stacks for service in stack.services}
    history = _unwritten(old.id)
    return make_plan(after, assume(before, place.clock().now(), history, images), history, before)


def _unwritten(applied: str):  # type: ignore[no-untyped-def]
    from reconciler.model.history import HashKey, History

    return History(HashKey("offline", b"offline"), applied=applied)


def _printed(plan: Plan, mark: str, args: argparse.Namespace) -> str:
    from reconciler.plan import render

    if args.format == "json":
        return _json(plan, mark)
    if args.format == "markdown":
        return render.markdown(plan)
    return render.text(plan, actions=args.actions)


def _json(plan: Plan, mark: str) -> str:
    from reconciler.plan import render

    return json.dumps(render.data(plan, mark), indent=2) + "\n"


def _code(plan: Plan) -> int:
    if plan.blocked or not plan.complete:
        return 1
    return CHANGES if plan.groups or plan.actions or plan.waiting or plan.drift else 0
