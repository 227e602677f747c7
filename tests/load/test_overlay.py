"""Does an edit that is laid over files look like files that were edited?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.load.overlay import Overlay
from reconciler.ports import FileKind, NewFile

# Three names, none of which is both a file and a directory.
PATHS = st.sampled_from(["a", "b/a", "b/b", "b/c/a", "d/e/f"])
CONTENTS = st.dictionaries(PATHS, st.binary(max_size=3))
EDITS = st.dictionaries(PATHS, st.none() | st.builds(NewFile, st.binary(max_size=3), st.booleans()))


@given(CONTENTS, EDITS)
def test_an_overlay_answers_as_the_edited_files_would(contents: dict[str, bytes], edits: dict[str, NewFile | None]) -> None:
    written = {path: new.content for path, new in edits.items() if new}
    edited = MemoryFiles({path: data for path, data in contents.items() if path not in edits} | written)
    overlay = Overlay(MemoryFiles(contents), edits)
    for path in ("", "a", "b", "b/a", "b/b", "b/c", "b/c/a", "d", "d/e", "d/e/f", "z"):
        # Git knows no empty directory; a directory that an edit empties may stay in sight here, with nothing in it.
        if edited.kind(path) is not None or overlay.kind(path) is not FileKind.DIRECTORY:
            assert overlay.kind(path) == edited.kind(path)
        if overlay.kind(path) is FileKind.FILE:
            assert overlay.read(path) == edited.read(path)
            assert overlay.executable(path) == (path in edits and edits[path] is not None and edits[path].executable)  # type: ignore[union-attr]


@given(CONTENTS, EDITS, EDITS)
def test_different_edits_have_different_identities(
    contents: dict[str, bytes], one: dict[str, NewFile | None], other: dict[str, NewFile | None]
) -> None:
    below = MemoryFiles(contents)
    assert (Overlay(below, one).identity("") == Overlay(below, other).identity("")) == (one == other)
