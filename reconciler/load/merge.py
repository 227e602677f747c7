"""What do an earlier and a later piece of a project say together?

The rules are Compose's: mappings by key, lists appended, anything else replaced, and a few attributes their own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from reconciler.load.attributes import Merge, Rule, rules
from reconciler.load.node import Content, Node, plain
from reconciler.load.notes import Notes, Path
from reconciler.load.scalars import render


def merge(earlier: Node, later: Node, notes: Notes) -> Node:
    """Return the document that the later one makes of the earlier one."""
    return _merged(earlier, later, rules(), (), notes)


def merge_service(base: Node, service: Node, path: Path, notes: Notes) -> Node:
    """Return the service that extends the base; `path` is the service's own."""
    return _merged(base, service, rules().fields["services"].each, path, notes)


def _merged(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    special = _SPECIAL.get(rule.attribute.merge) if rule and rule.attribute else None
    if special:
        return special(base, over, rule, path, notes)
    return _deep(base, over, rule, path, notes)


def _deep(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    if over.value is None:
        return base
    match base.value, over.value:
        case dict(), dict():
            return _joined(base, over, rule, path, notes)
        case list(first), list(second):
            return base.with_value([*first, *second])
        case ((dict() | list()), _):
            hint = "use the same form in both places, or !override"
            notes.problem("R038", f"{path[-1] if path else 'the document'} is written in two ways", over, path, hint)
            return base
        case _:
            return over


def _joined(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    """Merge two mappings; anything else counts as an empty one."""
    entries = dict(_entries(base))
    for name, child in _entries(over).items():
        known = entries.get(name)
        below = rule.at(name) if rule else None
        entries[name] = _merged(known, child, below, (*path, name), notes) if known else child
    return (base if isinstance(base.value, dict) else over).with_value(entries)


def _entries(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _replaced(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    return over


def _appended(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    for node in (base, over):
        for name, child in _entries(node).items():
            if isinstance(child.value, dict | list):
                notes.trap("R030", f"Compose makes one text of what {name} holds", child, (*path, name), "write a text")
    return base.with_value([*_sequence(base), *_sequence(over)])


def _sequence(node: Node) -> list[Node]:
    """Return a list, a string or a mapping as a list, the latter as sorted `KEY=VALUE`."""
    match node.value:
        case list(items):
            return items
        case str():
            return [node]
        case dict(entries):
            pairs = [pair for name, child in entries.items() for pair in _pairs(name, child)]
            return sorted(pairs, key=lambda pair: str(pair.value))
        case _:
            return []


def _pairs(name: str, child: Node) -> list[Node]:
    match child.value:
        case None:
            return [child.with_value(name)]
        case list(items):
            return [replace(item, value=f"{name}={_text(item)}", key=child.key) for item in items]
        case _:
            return [child.with_value(f"{name}={_text(child)}")]


def _text(node: Node) -> str:
    """Return the value as Go prints it, structures included."""
    match node.value:
        case dict(entries):
            return f"map[{' '.join(f'{name}:{_text(entries[name])}' for name in sorted(entries))}]"
        case list(items):
            return f"[{' '.join(map(_text, items))}]"
        case None:
            return "<nil>"
        case value:
            return render(value)


def _with_new_hosts(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    known = _sequence(base)
    texts = {str(item.value) for item in known}
    return base.with_value([*known, *(item for item in _sequence(over) if str(item.value) not in texts)])


def _build(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    return _joined(_context(base), _context(over), rule, path, notes)


def _context(node: Node) -> Node:
    return node.with_value({"context": node}) if isinstance(node.value, str) else node


def _networks(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    return _joined(_named(base, lambda item: None), _named(over, lambda item: None), rule, path, notes)


def _dependencies(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    return _joined(_named(base, dependency), _named(over, dependency), rule, path, notes)


def dependency(item: Node) -> dict[str, Node]:
    """Return what a bare service name in depends_on stands for."""
    return {"condition": item.with_value("service_started"), "required": item.with_value(True)}


def _named(node: Node, default: Callable[[Node], Content]) -> Node:
    if not isinstance(node.value, list):
        return node
    return node.with_value({str(item.value): item.with_value(default(item)) for item in node.value})


def _logging(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    """Options of one driver mean nothing to another."""
    drivers = [_entries(node)["driver"].value for node in (base, over) if "driver" in _entries(node)]
    if len(drivers) == 2 and drivers[0] != drivers[1]:
        return over
    return _deep(base, over, rule, path, notes)


def _pools(base: Node, over: Node, rule: Rule | None, path: Path, notes: Notes) -> Node:
    if not (isinstance(base.value, list) and isinstance(over.value, list)):
        return _deep(base, over, rule, path, notes)
    return base.with_value(_joined_pools(base.value, over.value, path, notes))


def _joined_pools(known: list[Node], later: list[Node], path: Path, notes: Notes) -> list[Node]:
    """Compose compares every pair of pools and changes them on the way, so one of an own subnet may get lost.

    A pool is a dict here that changes wherever it stands, and stands perhaps twice.
    """
    pools: list[dict[str, Node]] = []
    others = [dict(_entries(other)) for other in later]
    for pool in (dict(_entries(pool)) for pool in known):
        for other in others:
            there = [_subnet(one) for one in pools]
            if _subnet(other) != _subnet(pool) and _subnet(other) not in there:
                pools.append(other)
                continue
            pool |= other
            there = [_subnet(one) for one in pools]
            if _subnet(pool) in there:
                pools[there.index(_subnet(pool))] = pool
            else:
                pools.append(pool)
    _note_lost_pools(known, [_subnet(pool) for pool in pools], path, notes)
    return [(later[0] if later else known[0]).with_value(dict(pool)) for pool in pools]


def _note_lost_pools(known: list[Node], kept: list[str], path: Path, notes: Notes) -> None:
    for index, pool in enumerate(known):
        if _subnet(_entries(pool)) not in kept:
            hint = "repeat it in the later file, or say !override there"
            notes.trap("R019", "Compose loses this address pool in the merge", pool, (*path, index), hint)


def _subnet(pool: Mapping[str, Node]) -> str:
    return str(plain(pool["subnet"])) if "subnet" in pool else ""


_Special = Callable[[Node, Node, Rule | None, Path, Notes], Node]
_SPECIAL: dict[Merge, _Special] = {
    Merge.REPLACE: _replaced,
    Merge.SEQUENCE: _appended,
    Merge.BUILD: _build,
    Merge.NETWORKS: _networks,
    Merge.DEPENDENCIES: _dependencies,
    Merge.HOSTS: _with_new_hosts,
    Merge.LOGGING: _logging,
    Merge.POOLS: _pools,
}
