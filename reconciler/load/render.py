"""Which plain values does a model of nodes say in the canonical form, and where does each stand?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import Mark
from reconciler.load.attributes import Rule, rules
from reconciler.load.forms import Reading
from reconciler.load.node import Node, marks, plain
from reconciler.load.notes import Notes, Path
from reconciler.load.readings import OMITTED, place_of, read

# Structures that Compose's own model always holds, so that an empty one says nothing.
_NEVER_EMPTY = frozenset(("services.*.deploy.resources", "services.*.deploy.placement", "networks.*.ipam"))


def render(model: Node, notes: Notes) -> tuple[dict[str, Any], dict[Path, Mark]]:
    """Return the document and the place of each of its values, with what cannot be read noted and left out."""
    renderer = _Renderer(notes)
    document = renderer.fields(model, rules(), ())
    return document, renderer.marks


class _Renderer:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.marks: dict[Path, Mark] = {}

    def fields(self, node: Node, rule: Rule, path: Path) -> dict[str, Any]:
        entries: Mapping[str, Node] = node.value if isinstance(node.value, dict) else {}
        found: dict[str, Any] = {}
        for name, child in entries.items():
            below = rule.at(name)
            if below is None and not name.startswith("x-"):
                continue
            value = self._field(child, below, (*path, name))
            if value is not OMITTED:
                found[name] = value
        return found

    def _field(self, node: Node, rule: Rule | None, path: Path) -> Any:
        if rule is None or rule.attribute is None:
            return self._as_written(node, path)
        if rule.attribute.form.reading is Reading.DROPPED:
            return OMITTED
        if node.value is None and rule.attribute.path[-1] == "*":
            self._mark(node, path)
            return None
        value = self._value(node, rule, path)
        if value is not OMITTED:
            self._mark(node, path)
        return value

    def _value(self, node: Node, rule: Rule, path: Path) -> Any:
        assert rule.attribute
        match node.value:
            case None:
                return read(node, rule.attribute, path, self.notes, self.marks)
            case dict() if rule.attribute.form.record:
                found = self.fields(node, rule, path)
                return OMITTED if not found and str(rule.attribute) in _NEVER_EMPTY else found
            case dict() if rule.each:
                return self.fields(node, rule, path) or OMITTED
            case list(items) if rule.item:
                return self._items(items, rule.item, path) or OMITTED
            case _:
                return read(node, rule.attribute, path, self.notes, self.marks)

    def _items(self, items: list[Node], rule: Rule, path: Path) -> list[Any]:
        found: list[Any] = []
        for item in items:
            place = (*path, len(found))
            value = self._value(item, rule, place)
            if value is not OMITTED:
                self._mark(item, place)
                found.append(value)
        return found

    def _as_written(self, node: Node, path: Path) -> Any:
        self.marks.update(marks(node, path))
        return plain(node)

    def _mark(self, node: Node, path: Path) -> None:
        self.marks[path] = place_of(node)
