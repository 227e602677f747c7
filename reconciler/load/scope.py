"""Against what is one project, or one included project, read: its directory, its variables, who asked for it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.load.canonical import canonical
from reconciler.load.node import Node
from reconciler.load.notes import Notes
from reconciler.load.sources import Sources
from reconciler.load.substitution import substitute


@dataclass(frozen=True, slots=True)
class Scope:
    """The surroundings of one set of files.

    directory     absolute; what the files name is looked up from here
    folder        what relative paths of the model are joined to: `directory` for a project, for an included one the
                  same seen from the project that includes it, because that one joins the rest
    home          the home directory, or None to leave `~` alone
    chain         the files that led here by include, for cycles
    interpolated  whether variables are replaced; else values stay as they are written
    """

    sources: Sources
    notes: Notes
    directory: str
    folder: str
    variables: Mapping[str, str] = field(repr=False)
    home: str | None = None
    chain: tuple[str, ...] = ()
    interpolated: bool = True

    def interpolate(self, document: Node, notes: Notes | None = None) -> Node:
        """Return the document with variables replaced and typed values cast; problems and unset names are noted."""
        return substitute(document, self.variables.get, notes or self.notes) if self.interpolated else document

    def canonical(self, document: Node, notes: Notes | None = None) -> Node:
        """Return the document with every short form written out; problems are noted."""
        return canonical(document, notes or self.notes, interpolated=self.interpolated)
