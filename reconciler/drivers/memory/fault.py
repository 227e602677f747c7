"""What goes wrong between the reconciler and the engine, and at which call?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.errors import Conflict, Refused, Unreachable


class Killed(BaseException):
    """The reconciler's process ends here, as by kill -9: no handler of ours may run."""


class When(StrEnum):
    """How far a change gets before the fault: not at all, its first call to the engine only, or all of it."""

    BEFORE = "before"
    HALFWAY = "halfway"
    AFTER = "after"


class What(StrEnum):
    """What the caller gets instead of an answer."""

    LOST = "lost"
    KILLED = "killed"
    REFUSED = "refuse"
    CONFLICT = "conflict"
    RESTART = "restart"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Fault:
    what: What
    when: When = When.BEFORE


class Wire:
    """The way to the engine: counts the changes that are asked for, and fails where it was told to."""

    def __init__(self, restart: Callable[[], None], cut: Callable[[], None]) -> None:
        self.mutations = 0
        self.up = True
        self._restart = restart
        self._cut = cut
        self._faults: dict[int, Fault] = {}

    def plan(self, nth: int, fault: Fault) -> None:
        """Let the nth change from now on (1: the next) fail so."""
        self._faults[self.mutations + nth] = fault

    def clear(self) -> None:
        """Forget the faults that have not happened."""
        self._faults.clear()

    def down(self) -> None:
        """Answer nothing any more."""
        self.up = False
        self._cut()

    def require_up(self) -> None:
        if not self.up:
            raise Unreachable("the engine does not answer", hint="is the engine running?")

    def change(self, calls: Sequence[Callable[[], None]]) -> None:
        """Make the calls of one change, as far as its fault lets them through."""
        self.require_up()
        self.mutations += 1
        fault = self._faults.pop(self.mutations, None)
        for call in _through(calls, fault.when if fault else When.AFTER):
            call()
        if fault:
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        match fault.what:
            case What.KILLED:
                raise Killed(f"killed at change {self.mutations}")
            case What.REFUSED:
                raise Refused("the engine refused: no space left on device")
            case What.CONFLICT:
                raise Conflict("the engine said: removal is already in progress")
            case What.RESTART:
                self._restart()
            case What.DOWN:
                self.down()
            case What.LOST:
                pass
        raise Unreachable("the engine did not answer within its deadline")


def _through(calls: Sequence[Callable[[], None]], when: When) -> Sequence[Callable[[], None]]:
    if when is When.BEFORE:
        return ()
    return calls if when is When.AFTER else calls[:1]
