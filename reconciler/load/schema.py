"""Does a document hold only attributes that Compose knows, each in a shape it accepts?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from reconciler.load.attributes import Rule, rules
from reconciler.load.forms import Form, Kind
from reconciler.load.node import Node, plain
from reconciler.load.notes import Notes, Path


def validate(document: Node, notes: Notes) -> Node:
    """Return the document without what is wrong in it; every wrong part is noted.

    So the stages after this one can go on and find more, and need not ask for types again.
    """
    if not isinstance(document.value, dict):
        notes.problem("R030", f"a Compose file must be a mapping, found {_found(document)}", document)
        return document.with_value({})
    return _checked_fields(document, document.value, Form(record=True), rules(), (), notes) or document.with_value({})


def _checked(node: Node, form: Form | None, rule: Rule | None, path: Path, notes: Notes) -> Node | None:
    """Return the node without its wrong parts, or None when it is wrong as a whole."""
    if form is None:
        return node
    match node.value:
        case dict(entries) if form.mapped:
            return _checked_mapping(node, entries, form, rule, path, notes)
        case list(items) if form.listed:
            return _checked_list(node, items, form, rule, path, notes)
        case dict() | list():
            _refuse_kind(node, form, path, notes)
            return None
        case _:
            return _checked_scalar(node, form, path, notes)


def _checked_mapping(
    node: Node, entries: dict[str, Node], form: Form, rule: Rule | None, path: Path, notes: Notes
) -> Node | None:
    if form.record:
        return _checked_fields(node, entries, form, rule or Rule(), path, notes)
    kept = {name: _checked_entry(name, child, form, rule, path, notes) for name, child in entries.items()}
    return node.with_value({name: child for name, child in kept.items() if child})


def _checked_entry(name: str, child: Node, form: Form, rule: Rule | None, path: Path, notes: Notes) -> Node | None:
    if not _pattern(form.names).search(name):
        if not form.closed:
            return child
        hint = "letters, digits, '.', '_' and '-' only"
        notes.problem("R037", f'"{name}" cannot be a name in {path[-1]}', child, (*path, name), hint)
        return None
    below = rule.each if rule else None
    inner = below.attribute.form if below and below.attribute else form.values
    return _checked(child, inner, below, (*path, name), notes)


def _checked_fields(node: Node, entries: Mapping[str, Node], form: Form, rule: Rule, path: Path, notes: Notes) -> Node | None:
    kept = {name: _checked_field(name, child, form, rule, path, notes) for name, child in entries.items()}
    missing = [name for name in form.required if name not in entries]
    for name in missing:
        notes.problem("R035", f"{_named(path)} needs {_article(name)}", node, path)
    return None if missing else node.with_value({name: child for name, child in kept.items() if child})


def _checked_field(name: str, child: Node, form: Form, rule: Rule, path: Path, notes: Notes) -> Node | None:
    below = rule.fields.get(name)
    if below and below.attribute:
        return _checked(child, below.attribute.form, below, (*path, name), notes)
    if form.opened or (form.extensible and name.startswith("x-")):
        return child
    notes.problem("R034", f'unknown key "{name}"', child, (*path, name), _suggestion(name, rule))
    return None


def _checked_list(node: Node, items: list[Node], form: Form, rule: Rule | None, path: Path, notes: Notes) -> Node | None:
    below = rule.item if rule else None
    inner = below.attribute.form if below and below.attribute else form.items
    kept = [_checked(item, inner, below, (*path, index), notes) for index, item in enumerate(items)]
    if form.distinct:
        for first, second in _repeated(items):
            message = f"items {first} and {second} of {_named(path)} are equal"
            notes.problem("R036", message, items[second], (*path, second), "remove one of them")
    return node.with_value([item for item in kept if item])


def _checked_scalar(node: Node, form: Form, path: Path, notes: Notes) -> Node | None:
    if not _kinds(node) & form.kinds:
        _refuse_kind(node, form, path, notes)
        return None
    fault = _value_fault(node.value, form)
    if fault:
        notes.problem("R031", f"{_named(path)} {fault}", node, path, _choice(node.value, form))
        return None
    return node


def _value_fault(value: object, form: Form) -> str:
    if isinstance(value, str):
        if form.choices and value not in form.choices:
            return f"must be one of {', '.join(form.choices)}"
        if form.pattern and not _pattern(form.pattern).search(value):
            return f"does not match {form.pattern}"
    elif isinstance(value, int | float):
        if form.at_least is not None and value < form.at_least:
            return f"must be {form.at_least} or more"
        if form.at_most is not None and value > form.at_most:
            return f"must be {form.at_most} or less"
    return ""


def _refuse_kind(node: Node, form: Form, path: Path, notes: Notes) -> None:
    notes.problem("R030", f"{_named(path)} must be {_expected(form)}, found {_found(node)}", node, path)


def _kinds(node: Node) -> frozenset[Kind]:
    match node.value:
        case None:
            return frozenset((Kind.NULL,))
        case bool():
            return frozenset((Kind.BOOLEAN,))
        case int():
            return frozenset((Kind.INTEGER, Kind.NUMBER))
        case float(number):
            return frozenset((Kind.INTEGER, Kind.NUMBER) if number.is_integer() else (Kind.NUMBER,))
        case str():
            return frozenset((Kind.STRING,))
        case list():
            return frozenset((Kind.LIST,))
        case _:
            return frozenset((Kind.MAPPING,))


def _expected(form: Form) -> str:
    kinds: list[Kind] = [kind for kind in Kind if kind in form.kinds and kind is not Kind.NULL]
    kinds += [Kind.LIST] * form.listed + [Kind.MAPPING] * form.mapped
    return " or ".join(f"{'an' if kind is Kind.INTEGER else 'a'} {kind}" for kind in kinds)


def _found(node: Node) -> str:
    if node.value is None:
        return "nothing"
    kind = min(_kinds(node), key=list(Kind).index)
    return f"{'an' if kind is Kind.INTEGER else 'a'} {kind}"


def _named(path: Path) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "the document")
    return f"an entry of {name}" if path and isinstance(path[-1], int) else name


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _repeated(items: list[Node]) -> Iterator[tuple[int, int]]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        value = repr(_ordered(plain(item)))
        if value in seen:
            yield seen[value], index
        seen.setdefault(value, index)


def _ordered(value: object) -> object:
    match value:
        case dict():
            return sorted((name, _ordered(child)) for name, child in value.items())
        case list():
            return [_ordered(child) for child in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _suggestion(name: str, rule: Rule) -> str:
    from reconciler.load.excerpt import suggest

    return suggest(name, rule.fields)


def _choice(value: object, form: Form) -> str:
    from reconciler.load.excerpt import suggest

    return suggest(str(value), form.choices) if form.choices else ""


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
