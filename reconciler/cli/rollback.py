"""Go back to the version before, at once: `reconciler rollback STACK` or `STACK/SERVICE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.cli import FAILED, INTERRUPTED
from reconciler.cli.leaving import interrupt, on_signals
from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import say
from reconciler.cli.word import write_down
from reconciler.errors import InvalidState, ReconcilerError, Refused, Unreachable, UsageError

if TYPE_CHECKING:
    from reconciler.cli.progress import Progress
    from reconciler.model.desired import DesiredState, Environment
    from reconciler.model.history import History, Rollback
    from reconciler.model.status import Report
    from reconciler.ports import Clock, Lease, Source, Store, Writer
    from reconciler.reading import Load
    from reconciler.wiring import Workplace

MOST_VERSIONS = 30
"""So many revisions that were applied whole are looked at for another version."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("target", metavar="STACK|STACK/SERVICE", help="what to take back")
    parser.add_argument("--to", metavar="REVISION", help="whose version to run (default: the last other one applied whole)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for everybody who looks")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="wait so long for it to run")
    configure_place(parser, source=False)


def run(args: argparse.Namespace) -> int:
    """Hold the older version, switch to it, and commit it. Returns 0 when it runs and stands in Git, else 1."""
    from reconciler.cli.progress import progress

    on_signals(interrupt, INTERRUPTED)
    place = place_of(args)
    with progress() as told:
        switch = partial(_switched, place, told, args.timeout)
        desk = Desk(place.source(), place.load(), place.store(), place.clock(), place.writer, switch)
        return rollback(desk, args.target, args.to or "", args.reason)


@dataclass(frozen=True, slots=True)
class Desk:
    """Whom a rollback asks.

    writer_for  who commits to the source of an environment
    switch      makes a stack run what counts now, and says whether it does
    """

    source: Source
    load: Load
    store: Store
    clock: Clock
    writer_for: Callable[[Environment], Writer]
    switch: Callable[[str], bool]


def rollback(desk: Desk, target: str, to: str = "", reason: str = "") -> int:
    """Hold, switch, commit; say what became of each. Returns the exit code.

    Raises UsageError for a target or revision that does not exist, Refused when there is nothing to go back to.
    """
    desired = _newest(desk)
    writer = desk.writer_for(desired.environment)
    _check_target(desired, target)
    version = _version(desk, desired, target, to)
    taken = _hold(desk, desired, version, target, reason)
    names = ", ".join(taken.services) or target
    say(f'{names}: back to {version.revision.short} "{version.revision.subject}", held until Git asks for something else\n')
    runs = desk.switch(target.partition("/")[0])
    stands = _committed(desk, writer, desired, target, taken)
    return 0 if runs and stands else FAILED


def _newest(desk: Desk) -> DesiredState:
    """Return what Git asks for; where that cannot be read now, what was seen last: nobody waits for it at night."""
    try:
        revision = desk.source.fetch()
        return desk.load(desk.source.files(revision.id), revision)
    except (InvalidState, Unreachable) as trouble:
        known = desk.store.history().attempted
        if not known:
            raise
        say(f"note: {trouble}; going by {known[:7]}, which was seen last\n", sys.stderr)
        return _read(desk, known)


# --- to what ---------------------------------------------------------------------------------------------------------


def _check_target(desired: DesiredState, target: str) -> None:
    from reconciler.load.excerpt import suggest
    from reconciler.model.version import part_of

    if part_of(desired, target) is None:
        known = [stack.name for stack in desired.stacks] + [one.id for stack in desired.stacks for one in stack.services]
        hint = suggest(target, known) or f"there are {', '.join(known)}"
        raise UsageError(f"there is no {target} in {desired.environment.name} now", hint=hint)


def _version(desk: Desk, desired: DesiredState, target: str, to: str) -> DesiredState:
    """Return the revision to go back to: the one named, else the last one applied whole that asks for another version."""
    from reconciler.model.version import part_of, same

    before = desk.store.history().rollbacks.get(target)
    if before is not None and not to and same(part_of(_read(desk, before.to), target), part_of(desired, target)):
        message = f"{target} went back to {before.to[:7]} already, and Git asks for that"
        raise Refused(message, hint="to go back further, name the revision: --to REVISION")
    if to:
        revision = desk.source.revision(to)
        named = desk.load(desk.source.files(revision.id), revision)
        if part_of(named, target) is None or same(part_of(named, target), part_of(desired, target)):
            raise Refused(
                f"{revision.short} asks for no other version of {target}", hint="`reconciler history` lists revisions"
            )
        return named
    for candidate in _applied(desk, target.partition("/")[0]):
        if (found := part_of(candidate, target)) is not None and not same(found, part_of(desired, target)):
            return candidate
    message = f"no other version of {target} was applied whole, as far as is known here"
    raise Refused(message, hint="name the revision to go back to: --to REVISION")


def _applied(desk: Desk, stack: str) -> Iterator[DesiredState]:
    """Yield the revisions of which all of the stack was there, newest first, as far as they can still be read."""
    from reconciler.model.status import Sync

    history = desk.store.history()
    whole = [turn for turn in desk.store.turns(1000) if turn.applied == turn.revision]
    # While it waited for `apply STACK` (sync: manual), the revision counted as applied without it.
    there = (turn.revision for turn in whole if any((one.name, one.sync) == (stack, Sync.SYNCED) for one in turn.stacks))
    for id in [id for id in dict.fromkeys((history.behind.get(stack, history.applied), *there)) if id][:MOST_VERSIONS]:
        try:
            yield _read(desk, id)
        except ReconcilerError:
            continue


def _read(desk: Desk, name: str) -> DesiredState:
    revision = desk.source.revision(name)
    return desk.load(desk.source.files(revision.id), revision)


# --- hold ------------------------------------------------------------------------------------------------------------


def _hold(desk: Desk, desired: DesiredState, version: DesiredState, target: str, reason: str) -> Rollback:
    """Write it into the history, so that nothing rolls forward again from now on."""
    from reconciler.model.history import VERSION, Rollback
    from reconciler.model.version import changed_services

    to, origin = version.revision.id, desired.revision.id
    services = changed_services(version, desired, target)
    taken = Rollback(to, origin, services, " ".join(reason.split()), desk.clock.now())
    for id in (to, origin):
        desk.source.keep(id, f"{VERSION}-{id}")
    desk.store.change(lambda history: _with(history, target, taken))
    _write_down(desk, target, taken, f"held at {version.revision.short}")
    return taken


def _with(history: History, target: str, taken: Rollback) -> History:
    """A rollback of the stack speaks for its services; and a version that failed before may be tried again."""
    covered = [key for key in history.rollbacks if key == target or key.startswith(f"{target}/")]
    kept = {key: one for key, one in history.rollbacks.items() if key not in covered}
    quarantine = {key: one for key, one in history.quarantine.items() if key not in taken.services}
    retries = {key: one for key, one in history.retries.items() if key not in taken.services}
    return replace(history, rollbacks={**kept, target: taken}, quarantine=quarantine, retries=retries)


# --- switch ----------------------------------------------------------------------------------------------------------


def _switched(place: Workplace, told: Progress, timeout_seconds: float, stack: str) -> bool:
    """Make the stack run what counts now. Where a resident reconciler has the lease, it does that."""
    from reconciler.ports import Lease
    from reconciler.settle import verdict_of

    try:
        report = _settled(place, told, timeout_seconds, stack)
    except ReconcilerError as error:
        say(f"error: not switched: {error}\n", sys.stderr)
        return False
    if isinstance(report, Lease):
        say(f"note: {report.holder} holds the lease, and switches within its interval\n", sys.stderr)
        return True
    wrong = verdict_of(report, stack)
    for line in wrong:
        say(f"error: {line}\n", sys.stderr)
    if not wrong:
        say(f"{stack}: runs it\n")
    return not wrong


def _settled(place: Workplace, told: Progress, timeout_seconds: float, stack: str) -> Report | Lease:
    """Return the last turn, or the lease that somebody else has."""
    from reconciler.cli.settled import claim_of, settled

    reconciler = place.reconciler(told)
    reconciler.only = stack
    reconciler.refresh()
    if reconciler.wanted is None and reconciler.trouble is not None:
        raise reconciler.trouble
    claim = claim_of(reconciler)
    if reconciler.wanted and (lease := claim.held_by_other(reconciler.wanted.environment.name)):
        return lease
    return settled(reconciler, claim, timeout_seconds)


# --- commit ----------------------------------------------------------------------------------------------------------


def _committed(desk: Desk, writer: Writer, desired: DesiredState, target: str, taken: Rollback) -> bool:
    """Bring it to Git, too, and keep in the history what became of that. Says whether the branch has it."""
    from reconciler.reverting import decision, said

    try:
        written = writer.write(decision(desk.source, desk.load, desired, target, taken.to, taken.reason))
    except ReconcilerError as error:
        _note(desk, target, taken, "not in Git", str(error))
        say(f"error: it is not in Git, so the hold stays: {error}\n", sys.stderr)
        if error.hint:
            say(f"hint: {error.hint}; then say `reconciler rollback {target} --to {taken.to[:7]}` again\n", sys.stderr)
        return False
    stands = said(writer, written)
    _note(desk, target, taken, stands)
    say(f"{target}: {stands}\n")
    return True


def _note(desk: Desk, target: str, taken: Rollback, text: str, error: str = "") -> None:
    written = f"{text}: {error}" if error else text

    def noted(history: History) -> History:
        if history.rollbacks.get(target) != taken:
            return history  # It has ended meanwhile, or somebody has said something else.
        return replace(history, rollbacks={**history.rollbacks, target: replace(taken, written=written)})

    desk.store.change(noted)
    _write_down(desk, target, taken, text, error)


def _write_down(desk: Desk, target: str, taken: Rollback, text: str, error: str = "") -> None:
    write_down(desk.store, desk.clock.now(), "rollback", {target: text}, reason=taken.reason, revision=taken.to, error=error)
