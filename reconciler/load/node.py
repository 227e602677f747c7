"""A YAML value that remembers where it stands.

The whole Compose pipeline (interpolate, merge, extends, canonical forms) works on nodes, so every later message and
every reason in a plan can name file, line and column without a second bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.errors import Mark

# The tag of a value that `<<` brings in where its mapping says !reset: that only takes back what earlier files say.
RESET_OVER_MERGE = "!reset <<"

Scalar = None | bool | int | float | str
Content = Scalar | dict[str, "Node"] | list["Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it stands (`mark`), where its key stands (`key`; None in a list or at the top), and its tag.

    `tag` is "!reset", "!override", RESET_OVER_MERGE or "".
    Never mutate `value` in place once the node is shared: make a new node.
    """

    value: Content
    mark: Mark
    key: Mark | None = None
    tag: str = ""

    def with_value(self, value: Content) -> Node:
        """Return this node with another value at the same place."""
        # `replace` would take three times as long, and a document is made of thousands of nodes.
        return Node(value, self.mark, self.key, self.tag)

    @property
    def where(self) -> Mark:
        """The place to show a person: the key's if there is one."""
        return self.key or self.mark


def plain(node: Node) -> Any:
    """Return the value without its marks: dicts, lists and scalars."""
    match node.value:
        case dict(items):
            return {name: plain(child) for name, child in items.items()}
        case list(items):
            return [plain(child) for child in items]
        case scalar:
            return scalar


def marks(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Mark]]:
    """Yield (path, place) for the node and everything below it."""
    yield path, node.where
    match node.value:
        case dict(items):
            for name, child in items.items():
                yield from marks(child, (*path, name))
        case list(items):
            for index, child in enumerate(items):
                yield from marks(child, (*path, index))
