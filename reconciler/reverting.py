"""How is it taken back in Git, too, that a version did not work: by a person's word, or by `on_failure: revert`?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from reconciler.errors import ReconcilerError, Refused, Unreachable
from reconciler.load.restore import Restoration, restored
from reconciler.model.audit import Entry, Kind, Result
from reconciler.model.desired import DesiredState, Environment
from reconciler.model.history import History, Quarantine
from reconciler.model.source import Revision
from reconciler.plan.view import is_failure_of
from reconciler.ports import Clock, Commits, Decision, Files, Store, Writer, Written

Load = Callable[[Files, Revision], DesiredState]


@dataclass(frozen=True, slots=True)
class Reverting:
    """Commits what takes a failed version back, once for each failure.

    writer_for  who commits to the source of an environment
    """

    source: Commits
    load: Load
    store: Store
    clock: Clock
    writer_for: Callable[[Environment], Writer]

    def revert(self, desired: DesiredState) -> None:
        """Take back what failed of the newest revision, where Git asks for that, and note what became of it.

        Raises Unreachable where that is not known: asking again later commits nothing twice.
        """
        for failure in tuple(failures(self.store.history(), desired)):
            self._revert(desired, failure)

    def _revert(self, desired: DesiredState, failure: Quarantine) -> None:
        history, error = self.store.history(), ""
        to = history.behind.get(failure.service.partition("/")[0], history.applied)
        try:
            became = f"reverted: {self._written(desired, failure, to)}"
        except Unreachable:
            raise
        except ReconcilerError as problem:
            became, error = f"not in Git: {problem}", str(problem)
        self.store.change(partial(_noted, failure=failure, became=became))
        self._write_down(desired, failure, became, error)

    def _written(self, desired: DesiredState, failure: Quarantine, to: str) -> str:
        if not to:
            raise Refused("no version before it was applied whole, as far as is known here")
        writer = self.writer_for(desired.environment)
        made = decision(self.source, self.load, desired, failure.service, to, failure.message)
        return said(writer, writer.write(made))

    def _write_down(self, desired: DesiredState, failure: Quarantine, became: str, error: str) -> None:
        entry = Entry(
            at=self.clock.now(),
            kind=Kind.NOTE,
            what="revert",
            target=failure.service,
            text=became,
            by=desired.revision.author,
            revision=desired.revision.id,
            reasons=(failure.message,),
            outcome=Result.FAILED if error else Result.DONE,
            error=error,
        )
        self.store.audit([entry])


def failures(history: History, desired: DesiredState) -> Iterator[Quarantine]:
    """Yield what failed of a revision and is to be taken back in Git, as long as nothing is known to have come of that."""
    for service in (one for stack in desired.stacks for one in stack.services):
        failure = history.quarantine.get(service.id)
        asks = service.extensions.get("x-rollout", {}).get("on_failure") == "revert"
        if failure and asks and not failure.written and is_failure_of(failure, service, desired.revision.id, history.key):
            yield failure


def _noted(history: History, failure: Quarantine, became: str) -> History:
    known = history.quarantine.get(failure.service)
    if known is None or (known.spec, known.revision) != (failure.spec, failure.revision):
        return history  # A newer revision came meanwhile, or somebody has said `retry`.
    return replace(history, quarantine={**history.quarantine, failure.service: replace(known, written=became)})


# --- the commit ------------------------------------------------------------------------------------------------------


def decision(source: Commits, load: Load, desired: DesiredState, target: str, to: str, reason: str) -> Decision:
    """Return what is to be committed to take a stack or service back to a revision, whatever the branch holds by then.

    `desired` is what Git asked for when that was decided.
    """
    revision, name = desired.revision, desired.environment.name
    wanted = Restoration(target, desired, source.files(to))
    return Decision(
        id=sha256(repr((name, target, revision.id, to)).encode()).hexdigest()[:20],
        subject=f"rollback({target}): {revision.short}→{to[:7]}",
        base=revision.id,
        edit=lambda files: restored(files, wanted, lambda files: load(files, revision)),
        body=f"{target} of {name} goes back to what {to} asks for.",
        reason=reason,
    )


def said(writer: Writer, written: Written) -> str:
    """Say where a decision stands."""
    if not written.commit:
        return f"{written.branch} asks for it already"
    if written.branch != writer.branch:
        return f"commit {written.commit[:7]} on {written.branch}, for a pull request; held until {writer.branch} has it"
    return f"commit {written.commit[:7]} on {written.branch}"
