"""What does a file take back of the files before it? (`!reset` and `!override`)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.load.node import RESET_OVER_MERGE, Node
from reconciler.load.notes import Notes

Place = tuple[str, ...]


def take_resets(document: Node, notes: Notes) -> tuple[Node, frozenset[Place]]:
    """Return the document without its `!reset` values, and the places where earlier files are to be forgotten."""
    finder = _Finder(notes)
    kept = finder.taken(document, ())
    return kept or document.with_value(None), frozenset(finder.places)


def forget(document: Node, places: Iterable[Place]) -> Node:
    """Return the document without what stands at the places. Items of lists cannot be taken back."""
    for place in places:
        document = _without(document, place)
    return document


class _Finder:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.places: set[Place] = set()
        self.used: set[int] = set()

    def taken(self, node: Node, place: Place) -> Node | None:
        if node.tag == "!reset":
            self._reset(node, place)
            return None
        if node.tag == RESET_OVER_MERGE:
            self.notes.trap("R018", "this !reset leaves what << brings in", node, place, "say !override with what is wanted")
            self.places.add(place)
            return self.taken(replace(node, tag=""), place)
        if node.tag:
            self.places.add(place)
            return node
        match node.value:
            case dict(entries):
                return self._mapping(node, entries, place)
            case list(items):
                return self._list(node, items, place)
            case _:
                return node

    def _reset(self, node: Node, place: Place) -> None:
        """In Compose the first use of an anchor takes its resets away from the others."""
        if id(node) in self.used:
            self.notes.trap("R018", "a !reset that an alias repeats does nothing", node, place, "write it out here")
        else:
            self.places.add(place)
        self.used.add(id(node))

    def _mapping(self, node: Node, entries: dict[str, Node], place: Place) -> Node:
        kept = {name: self.taken(child, (*place, name)) for name, child in entries.items()}
        if all(kept[name] is child for name, child in entries.items()):
            return node
        return node.with_value({name: child for name, child in kept.items() if child})

    def _list(self, node: Node, items: list[Node], place: Place) -> Node:
        kept = [self.taken(item, (*place, str(index))) for index, item in enumerate(items)]
        if all(new is old for new, old in zip(kept, items, strict=True)):
            return node
        return node.with_value([item for item in kept if item])


def _without(node: Node, place: Place) -> Node:
    entries = node.value
    if not place or not isinstance(entries, dict) or place[0] not in entries:
        return node
    if len(place) == 1:
        return node.with_value({name: child for name, child in entries.items() if name != place[0]})
    return node.with_value({**entries, place[0]: _without(entries[place[0]], place[1:])})
