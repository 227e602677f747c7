"""What does a revision ask for, without reading again what was read before?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from reconciler.errors import InvalidState
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import Files

Load = Callable[[Files, Revision], DesiredState]
"""The pure loader with the operator's settings bound: load/__init__.py."""

MOST_TREES = 3
"""The newest one, the last one applied whole, and one that a revert may bring back."""


@dataclass(slots=True)
class Reader:
    """Loads revisions. Equal trees mean equal states, so a commit that touches nothing of ours costs no parsing."""

    load: Load
    _known: dict[str, DesiredState | InvalidState] = field(default_factory=dict)

    def read(self, files: Files, revision: Revision) -> DesiredState:
        """Return the desired state of a revision. Raises InvalidState, at once where the same tree was refused before."""
        tree = files.identity("")
        known = self._known.pop(tree, None) or self._loaded(files, revision)
        self._known[tree] = known
        while len(self._known) > MOST_TREES:
            del self._known[next(iter(self._known))]
        if isinstance(known, InvalidState):
            raise known.with_traceback(None)
        return replace(known, revision=revision)

    def _loaded(self, files: Files, revision: Revision) -> DesiredState | InvalidState:
        try:
            return self.load(files, revision)
        except InvalidState as problem:
            return problem
