"""What was learned, also while the state directory can neither be read nor written?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from reconciler.errors import Unreachable
from reconciler.model.history import History
from reconciler.model.status import Turn
from reconciler.model.traffic import Sample
from reconciler.ports import Store


@dataclass(slots=True)
class Recollection:
    """The history as the store has it; while that does not answer, as this process knows it. For one thread.

    trouble  why nothing can be kept, "" when it can
    """

    store: Store
    trouble: str = ""
    _known: History | None = None

    def history(self) -> History:
        """Return what was learned. Raises Unreachable where the store does not answer and never did."""
        try:
            self._known = self.store.history()
        except Unreachable as silence:
            self._known = self._without(silence)
        return self._known

    def change(self, edit: Callable[[History], History]) -> History:
        """Edit the history; where that cannot be kept, only for this process. Raises as `history` does."""
        try:
            self._known = self.store.change(edit)
        except Unreachable as silence:
            self._known = edit(self._without(silence))
        return self._known

    def record(self, turn: Turn) -> None:
        """Keep a turn. Raises what the store raises. Once it succeeds there is room again."""
        try:
            self.store.record(turn)
        except Unreachable as silence:
            self.trouble = str(silence)
            raise
        self.trouble = ""

    def sample(self, samples: Iterable[Sample]) -> None:
        """Keep samples if there is room: nothing depends on them."""
        with suppress(Unreachable):
            self.store.sample(samples)

    def _without(self, silence: Unreachable) -> History:
        self.trouble = str(silence)
        if self._known is None:
            raise silence
        return self._known
