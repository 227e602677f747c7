"""Show what would change, and why: `reconciler plan`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, look_at, place_of
from reconciler.cli.printing import say
from reconciler.cli.problems import complain_of
from reconciler.errors import Refused, UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.wiring import Workplace

CHANGES = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text", help="default: text")
    parser.add_argument("--exit-code", action="store_true", help="0 nothing to do, 2 changes, 1 error, blocked or incomplete")
    parser.add_argument("--out", metavar="FILE", help="write it for `apply FILE`, which refuses once the world moved")
    parser.add_argument("--actions", action="store_true", help="list every single call")
    parser.add_argument("--base", metavar="REV", help="plan from this revision instead of the engine")
    parser.add_argument("--head", metavar="REV", help="plan to this revision (default: HEAD)")


def run(args: argparse.Namespace) -> int:
    """Print the plan on stdout. Changes nothing, on the engine or in the state directory's history."""
    offline = bool(args.base or args.head)
    if offline and args.out:
        raise UsageError("--out needs an engine", hint="a plan between two revisions is bound to nothing: leave --base out")
    place = place_of(args)
    plan, mark = _between(place, args.base, args.head) if offline else _against_engine(place)
    if args.out:
        _write(Path(args.out), _json(plan, mark))
    say(_printed(plan, mark, args))
    return _code(plan) if args.exit_code else 0


def _against_engine(place: Workplace) -> tuple[Plan, str]:
    from reconciler.plan.fingerprint import fingerprint

    look = look_at(place)
    complain_of(look.desired.warnings)
    return look.plan, fingerprint(look.plan, look.observed)


def _between(place: Workplace, base: str | None, head: str | None) -> tuple[Plan, str]:
    """Plan from Git alone, as if everything of `base` ran: for pull requests."""
    from reconciler.model.history import HashKey, History
    from reconciler.plan import make_plan
    from reconciler.plan.assume import assume
    from reconciler.plan.windows import without_windows

    if not base:
        raise UsageError("--head needs --base", hint="name the revision to compare with: --base main")
    commits, load = place.commits(), place.load()
    old, new = commits.revision(base), commits.revision(head or "HEAD")
    before, after = load(commits.files(old.id), old), load(commits.files(new.id), new)
    complain_of(after.warnings)
    # Nothing is labelled with this key, so it need not be secret.
    history = History(HashKey("offline", b"offline"), applied=old.id)
    after = without_windows(after)
    images = {service.image for stack in after.stacks for service in stack.services}
    return make_plan(after, assume(before, place.clock().now(), history, images), history, before), ""


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Refused(f"the plan cannot be written to {path}: {error.strerror}") from error


def _printed(plan: Plan, mark: str, args: argparse.Namespace) -> str:
    from reconciler.plan import render

    if args.format == "json":
        return _json(plan, mark)
    if args.format == "markdown":
        return render.markdown(plan)
    return render.text(plan, actions=args.actions)


def _json(plan: Plan, mark: str) -> str:
    from reconciler.plan import render

    return json.dumps(render.data(plan, mark), indent=2, ensure_ascii=False) + "\n"


def _code(plan: Plan) -> int:
    if plan.blocked or not plan.complete:
        return 1
    held = any(one.what for one in plan.held)
    return CHANGES if plan.groups or plan.actions or plan.waiting or plan.drift or held else 0
