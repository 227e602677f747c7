"""Change what runs until it is as Git asks: `reconciler apply`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli import FAILED, INTERRUPTED
from reconciler.cli.leaving import interrupt, on_signals
from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import say
from reconciler.cli.problems import complain_of
from reconciler.errors import Refused, UsageError

if TYPE_CHECKING:
    from reconciler.cli.progress import Progress
    from reconciler.loop import Reconciler
    from reconciler.model.desired import DesiredState
    from reconciler.model.history import History
    from reconciler.model.status import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    words = "where the desired state is, or a plan that `plan --out` wrote; then stacks with `sync: manual` to release"
    parser.add_argument("words", nargs="*", metavar="SOURCE|PLAN|STACK", help=words)
    configure_place(parser, source=False)
    told = "begin what windows hold of this revision, for all stacks or those named; say why"
    parser.add_argument("--override-windows", type=_reason, metavar="REASON", help=told)
    parser.add_argument("--timeout", type=_seconds, default=float("inf"), metavar="SECONDS", help="give up after so long")
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but what is wrong")


def run(args: argparse.Namespace) -> int:
    """Turn until nothing is left to do. Returns 0 when everything is as Git asks and well, else 1."""
    from reconciler.cli.progress import progress
    from reconciler.model.history import EVERYTHING

    bound, stacks = _understood(args)
    on_signals(interrupt, INTERRUPTED)
    place = place_of(args)
    began = place.clock().monotonic()
    with progress(quiet=args.quiet) as told:
        reconciler = place.reconciler(told)
        reconciler.refresh()
        if reconciler.trouble is not None:
            raise reconciler.trouble
        assert reconciler.wanted is not None, "a source without trouble has a valid revision"
        _release(reconciler, reconciler.wanted, stacks, overrides=bool(args.override_windows))
        _override(reconciler, reconciler.wanted, stacks, args.override_windows or "")
        _show_plan(reconciler, bound, quiet=args.quiet)
        _write_down(reconciler, reconciler.wanted, {EVERYTHING: "as a plan says" if bound else ""})
        report, count = _settled(reconciler, told, args.timeout)
    _tell_last_words(reconciler.world.store.history())
    return _conclude(report, count, place.clock().monotonic() - began, quiet=args.quiet)


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("say why")
    return " ".join(text.split())


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


# --- what was said ---------------------------------------------------------------------------------------------------


def _understood(args: argparse.Namespace) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Sort the words: the first is a plan or the source if it looks like one, all others are stacks."""
    first, *rest = args.words or [""]
    if first.endswith(".json"):
        if rest:
            raise UsageError(f"{first} says already what is applied", hint="leave the stacks out, or the plan")
        return _read_plan(Path(first)), rest
    if first and (Path(first).exists() or set(first) & set("/:.")):
        if args.source:
            raise UsageError(f"{first} and --source both say where the desired state is", hint="say it once")
        args.source = first
        return None, rest
    return None, args.words


def _read_plan(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"plan {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} holds no plan: {error}", hint="write one with `reconciler plan --out FILE`") from error
    if not isinstance(document, dict) or document.get("api") != "v1" or not document.get("fingerprint"):
        raise UsageError(f"{path} is no plan to be applied", hint="write one with `reconciler plan --out FILE`")
    return document


def _release(reconciler: Reconciler, desired: DesiredState, stacks: Iterable[str], *, overrides: bool) -> None:
    """Let the new revision through to stacks that wait for a person."""
    known = {stack.name: stack for stack in desired.stacks}
    for name in stacks:
        if name not in known:
            from reconciler.load.excerpt import suggest

            hint = suggest(name, known) or f"there are {', '.join(known)}"
            raise UsageError(f"there is no stack {name!r} in {desired.environment.name}", hint=hint)
        if known[name].sync != "manual" and not overrides:
            say(f"note: stack {name} is applied in any case: its sync is automatic\n", sys.stderr)
    manual = {name: desired.revision.id for name in stacks if known[name].sync == "manual"}
    if manual:
        reconciler.world.store.change(lambda history: replace(history, manual={**history.manual, **manual}))
        _write_down(reconciler, desired, dict.fromkeys(manual, "released"))
        say(f"note: {', '.join(manual)} released at {desired.revision.short}\n", sys.stderr)


def _override(reconciler: Reconciler, desired: DesiredState, stacks: Iterable[str], reason: str) -> None:
    """Let the new revision through windows: kept in the history, so that whoever holds the lease obeys too."""
    from reconciler.model.history import EVERYTHING, Overrule

    if reason:
        names, word = tuple(stacks) or (EVERYTHING,), Overrule(desired.revision.id, reason)
        reconciler.world.store.change(
            lambda history: replace(history, overruled={**history.overruled, **dict.fromkeys(names, word)})
        )
        _write_down(reconciler, desired, dict.fromkeys(names, "waits for no window"), reason)


def _write_down(reconciler: Reconciler, desired: DesiredState, said: Mapping[str, str], reason: str = "") -> None:
    from reconciler.cli.word import write_down

    world = reconciler.world
    write_down(world.store, world.clock.now(), "apply", said, reason=reason, revision=desired.revision.id)


# --- the plan, once --------------------------------------------------------------------------------------------------


def _show_plan(reconciler: Reconciler, bound: Mapping[str, Any] | None, *, quiet: bool) -> None:
    from reconciler.plan import render

    look = reconciler.look()
    if bound is not None:
        from reconciler.plan.fingerprint import fingerprint

        now = {
            "environment": look.plan.environment,
            "revision": look.plan.revision_id,
            "fingerprint": fingerprint(look.plan, look.observed),
        }
        _require_unmoved(bound, now)
    if not quiet:
        complain_of(look.desired.warnings)
        say(render.text(look.plan))


def _require_unmoved(bound: Mapping[str, Any], now: Mapping[str, str]) -> None:
    hint = "look at a new plan: `reconciler plan --out FILE`"
    if bound.get("environment") != now["environment"]:
        raise Refused(f"the plan is for {bound.get('environment')}, this is {now['environment']}", hint=hint)
    if bound.get("revision") != now["revision"]:
        raise Refused(f"the plan is for {str(bound.get('revision'))[:7]}, Git is at {now['revision'][:7]}", hint=hint)
    if bound.get("fingerprint") != now["fingerprint"]:
        raise Refused("what runs has changed since the plan was made", hint=hint)


# --- until it is done ------------------------------------------------------------------------------------------------


def _settled(reconciler: Reconciler, told: Progress, timeout_seconds: float) -> tuple[Report, int]:
    """Returns the last turn, and how many actions were done in all."""
    from reconciler.cli.settled import claim_of, settled

    done = 0

    def tell(report: Report) -> None:
        nonlocal done
        done += sum(one.done for one in report.outcomes)
        told.wait(report.plan.waiting if report.plan else ())

    report = settled(reconciler, claim_of(reconciler), timeout_seconds, tell)
    reconciler.hold_good()
    return report, done


def _tell_last_words(history: History) -> None:
    """Show what failed containers wrote at their end: most of them are gone by now."""
    from reconciler.cli.printing import section

    for one in history.quarantine.values():
        for line in section(f"{one.service} wrote last:", one.last_words):
            say(line + "\n", sys.stderr)


def _conclude(report: Report, count: int, seconds: float, *, quiet: bool) -> int:
    from reconciler.load.text import printable
    from reconciler.settle import verdict

    revision = report.revision.short if report.revision else ""
    wrong = verdict(report)
    for line in wrong:
        say(f"error: {printable(line)}\n", sys.stderr)
    if not quiet and not wrong:
        actions = f"{count} action{'' if count == 1 else 's'}"
        say(f"Applied {revision}: {actions} in {seconds:.1f} s. Everything is as Git asks, and well.\n")
    return FAILED if wrong else 0
