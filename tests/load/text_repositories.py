"""A repository in a dictionary, and what loading it gives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from reconciler.errors import InvalidState, Problem
from reconciler.load.loading import LoadSettings, load
from reconciler.model.desired import DesiredState
from reconciler.model.source import Revision
from reconciler.ports import FileKind

REVISION = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC), "", "")


class TextFiles:
    """Files from a mapping of paths to texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._contents = {path: text.encode() for path, text in texts.items()}

    def kind(self, path: str) -> FileKind | None:
        if path in self._contents:
            return FileKind.FILE
        return FileKind.DIRECTORY if not path or self.children(path) else None

    def read(self, path: str) -> bytes:
        return self._contents[path]

    def children(self, path: str) -> tuple[str, ...]:
        above = f"{path}/" if path else ""
        return tuple(sorted({name.removeprefix(above).partition("/")[0] for name in self._contents if name.startswith(above)}))

    def identity(self, path: str) -> str:
        return sha256(self._contents.get(path, b"")).hexdigest()

    def executable(self, path: str) -> bool:
        return False


def loaded(texts: Mapping[str, str], settings: LoadSettings | None = None) -> DesiredState:
    return load(TextFiles(texts), REVISION, settings)


def told(texts: Mapping[str, str], settings: LoadSettings | None = None) -> list[str]:
    """Return every problem as `R000 place | message`."""
    return [f"{problem.code} {problem.mark} | {problem.message}" for problem in problems(texts, settings)]


def problems(texts: Mapping[str, str], settings: LoadSettings | None = None) -> tuple[Problem, ...]:
    """Return why the repository is refused, or what is only warned of."""
    try:
        return loaded(texts, settings).warnings
    except InvalidState as error:
        return error.problems
