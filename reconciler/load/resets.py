"""What does a file take back of the files before it? (`!reset` and `!override`)"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.load.node import Node

Place = tuple[str, ...]


def take_resets(document: Node) -> tuple[Node, frozenset[Place]]:
    """Return the document without its `!reset` values, and the places where earlier files are to be forgotten."""
    found: set[Place] = set()
    kept = _taken(document, (), found)
    return kept or document.with_value(None), frozenset(found)


def forget(document: Node, places: Iterable[Place]) -> Node:
    """Return the document without what stands at the places. Items of lists cannot be taken back."""
    for place in places:
        document = _without(document, place)
    return document


def _taken(node: Node, place: Place, found: set[Place]) -> Node | None:
    if node.tag:
        found.add(place)
        return node if node.tag == "!override" else None
    match node.value:
        case dict(entries):
            kept = {name: _taken(child, (*place, name), found) for name, child in entries.items()}
            changed = any(kept[name] is not child for name, child in entries.items())
            return node.with_value({name: child for name, child in kept.items() if child}) if changed else node
        case list(items):
            left = [_taken(item, (*place, str(index)), found) for index, item in enumerate(items)]
            changed = any(new is not old for new, old in zip(left, items, strict=True))
            return node.with_value([item for item in left if item]) if changed else node
        case _:
            return node


def _without(node: Node, place: Place) -> Node:
    entries = node.value
    if not place or not isinstance(entries, dict) or place[0] not in entries:
        return node
    if len(place) == 1:
        return node.with_value({name: child for name, child in entries.items() if name != place[0]})
    return node.with_value({**entries, place[0]: _without(entries[place[0]], place[1:])})
