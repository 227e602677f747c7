"""Which of two list entries about the same thing counts? The later one, at the earlier one's place."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.load.attributes import Rule, Unique, rules
from reconciler.load.mounts import target_of
from reconciler.load.node import Node, plain


def distinct(document: Node) -> Node:
    """Return the document without entries that a later one of the same list redefines."""
    return _distinct(document, rules())


def _distinct(node: Node, rule: Rule) -> Node:
    match node.value:
        case dict(entries):
            return _distinct_fields(node, entries, rule)
        case list(items) if rule.attribute and rule.attribute.unique in _IDENTITIES and len(items) > 1:
            return node.with_value(_last_of_each(items, _IDENTITIES[rule.attribute.unique]))
        case _:
            return node


def _distinct_fields(node: Node, entries: dict[str, Node], rule: Rule) -> Node:
    changed: dict[str, Node] = {}
    for name, child in entries.items():
        below = rule.at(name)
        if below and (kept := _distinct(child, below)) is not child:
            changed[name] = kept
    return node.with_value({**entries, **changed}) if changed else node


def _last_of_each(items: list[Node], identity: Callable[[Node], object]) -> list[Node]:
    kept: dict[object, Node] = {}
    for item in items:
        kept[identity(item)] = item
    return list(kept.values())


def _key(item: Node) -> object:
    return item.value.partition("=")[0] if isinstance(item.value, str) else id(item)


def _value(item: Node) -> object:
    return str(item.value) if isinstance(item.value, str | int) else id(item)


def _target(item: Node) -> object:
    target = target_of(item.value) if isinstance(item.value, str) else _field(item, "target")
    return target if isinstance(target, str) else id(item)


def _device(item: Node) -> object:
    if isinstance(item.value, str):
        parts = item.value.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    target = _field(item, "target")
    return target if isinstance(target, str) else id(item)


def _port(item: Node) -> object:
    """Compose tells a published number from the same published text, so the kind belongs to the identity."""
    if not isinstance(item.value, dict):
        return str(item.value) if isinstance(item.value, str | int) else id(item)
    published = _field(item, "published")
    address = _field(item, "host_ip") or "0.0.0.0"
    protocol = _field(item, "protocol") or "tcp"
    return address, type(published).__name__, published, str(_field(item, "target")), protocol


def _mounted(folder: str) -> Callable[[Node], object]:
    def identity(item: Node) -> object:
        if isinstance(item.value, str):
            return f"{folder}/{item.value}"
        target = _field(item, "target")
        return target if target is not None else f"{folder}/{_field(item, 'source')}"

    return identity


def _file(item: Node) -> object:
    return item.value if isinstance(item.value, str) else _field(item, "path") or id(item)


def _field(item: Node, name: str) -> object:
    child = item.value.get(name) if isinstance(item.value, dict) else None
    return plain(child) if child and not isinstance(child.value, dict | list) else None


_IDENTITIES: dict[Unique, Callable[[Node], object]] = {
    Unique.KEY: _key,
    Unique.VALUE: _value,
    Unique.TARGET: _target,
    Unique.DEVICE: _device,
    Unique.PORT: _port,
    Unique.CONFIG: _mounted(""),
    Unique.SECRET: _mounted("/run/secrets"),
    Unique.FILE: _file,
}
