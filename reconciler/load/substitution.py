"""What does a document say once its variables are replaced and its typed values are read?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.errors import InvalidState
from reconciler.load.attributes import Rule, rules
from reconciler.load.forms import Kind, Reading
from reconciler.load.interpolate import Budget, Lookup, interpolate
from reconciler.load.node import Node, Scalar
from reconciler.load.notes import Notes, Path, Unset, dotted
from reconciler.load.values import parse_bool, parse_float, parse_int
from reconciler.load.variables import note_unset


def substitute(document: Node, lookup: Lookup, notes: Notes) -> Node:
    """Return the document with the variables of all values replaced (keys stay), then text made flags and numbers.

    Problems and unset variables are noted; values with a problem are left out.
    """
    return _Substitution(lookup, notes).node(document, rules(), ()) or document.with_value({})


class _Substitution:
    def __init__(self, lookup: Lookup, notes: Notes) -> None:
        self.lookup = lookup
        self.notes = notes
        self.budget = Budget()

    def node(self, node: Node, rule: Rule | None, path: Path) -> Node | None:
        match node.value:
            case str(text):
                return self._text(node, text, rule, path)
            case dict(entries):
                return self._mapping(node, entries, rule, path)
            case list(items):
                below = rule.item if rule else None
                new = [self.node(item, below, (*path, index)) for index, item in enumerate(items)]
                if all(one is other for one, other in zip(new, items, strict=True)):
                    return node
                return node.with_value([item for item in new if item])
            case _:
                return node

    def _mapping(self, node: Node, entries: dict[str, Node], rule: Rule | None, path: Path) -> Node:
        changed: dict[str, Node | None] = {}
        for name, child in entries.items():
            new = self.node(child, rule.at(name) if rule else None, (*path, name))
            if new is not child:
                changed[name] = new
        if not changed:
            return node
        return node.with_value({name: child for name, child in (entries | changed).items() if child})

    def _text(self, node: Node, text: str, rule: Rule | None, path: Path) -> Node | None:
        cast = _cast(rule)
        if cast is None and "$" not in text:
            return node
        try:
            return self._substituted(node, text, cast, path)
        except InvalidState as invalid:
            self.notes.problems.extend(invalid.problems)
            return None

    def _substituted(self, node: Node, text: str, cast: _Cast | None, path: Path) -> Node:
        mark, at = node.where, dotted(path)
        result = interpolate(text, self.lookup, mark, at, self.budget)
        note_unset(self.notes, [Unset(name, mark, at, name in result.bare) for name in result.unset])
        if result.substituted:
            node = replace(node, mark=replace(node.mark, literal=False))
        if cast is None:
            return node.with_value(result.text)
        value = cast(result.text, mark, at)
        if cast is parse_bool and result.text.lower() not in ("true", "false"):
            hint = f"write {str(value).lower()}"
            self.notes.warning("R025", f'"{result.text}" is no flag of YAML 1.2', node, path, hint)
        return node.with_value(value)


def _cast(rule: Rule | None) -> _Cast | None:
    """Return how text at a typed place is read: so `"3"` and `"${REPLICAS}"` are numbers there."""
    if rule is None or rule.attribute is None or Kind.STRING not in rule.attribute.form.kinds:
        return None
    return _CASTS.get(rule.attribute.form.reading)


_Cast = Callable[..., Scalar]
_CASTS: dict[Reading, _Cast] = {
    Reading.FLAG: parse_bool,
    Reading.INTEGER: parse_int,
    Reading.FLOAT: parse_float,
}
