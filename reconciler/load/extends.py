"""What is a service when it starts from another one?"""

from __future__ import annotations

from dataclasses import dataclass, field
from posixpath import dirname, relpath

from reconciler.load.distinct import distinct
from reconciler.load.merge import merge, merge_service
from reconciler.load.node import Node
from reconciler.load.notes import Notes, Path
from reconciler.load.paths import joined, resolve_paths
from reconciler.load.resets import Place, forget, take_resets
from reconciler.load.scope import Scope

_Reference = tuple[str, str]


def apply_extends(document: Node, resets: frozenset[Place], file: str, scope: Scope) -> Node:
    """Return the document with every service's base written into it."""
    entries = document.value
    if not isinstance(entries, dict) or "services" not in entries:
        return document
    services = entries["services"]
    if not isinstance(services.value, dict) or not any(_base_of(service) for service in services.value.values()):
        return document
    family = _Family(file, services.value, resets)
    extender = _Extender(scope)
    written = {name: extender.extended(name, family, ()) for name in services.value}
    return document.with_value({**entries, "services": services.with_value(written)})


# As deep as values may be nested; no person writes a longer one.
MAX_CHAIN = 64


@dataclass(slots=True)
class _Family:
    """The services of one file, those done already, and what the file resets. `notes` waits for a base to be used."""

    file: str
    services: dict[str, Node]
    resets: frozenset[Place]
    notes: Notes = field(default_factory=Notes)
    done: dict[str, Node] = field(default_factory=dict)


@dataclass(slots=True)
class _Extender:
    scope: Scope
    families: dict[str, _Family] = field(default_factory=dict)

    def extended(self, name: str, family: _Family, chain: tuple[_Reference, ...]) -> Node:
        if name not in family.done:
            family.done[name] = self._extended(name, family, chain)
        return family.done[name]

    def _extended(self, name: str, family: _Family, chain: tuple[_Reference, ...]) -> Node:
        service = family.services[name]
        wanted = _base_of(service)
        if wanted is None:
            return service
        reference, file = wanted
        plain = _without_extends(service)
        base_family = self._family(file, name) if file else family
        if base_family is None or not self._is_sound(reference, name, base_family, (*chain, (family.file, name))):
            return plain
        base = self.extended(str(reference.value), base_family, (*chain, (family.file, name)))
        self._adopt_unset(base_family, str(reference.value))
        return merge_service(_reset(base, name, family.resets), plain, ("services", name), self.scope.notes)

    def _is_sound(self, reference: Node, name: str, base: _Family, chain: tuple[_Reference, ...]) -> bool:
        wanted = str(reference.value)
        path: Path = ("services", name, "extends")
        if wanted not in base.services:
            file = self.scope.sources.name(base.file)
            self.scope.notes.problem("R047", f'service "{wanted}" to extend is not in {file}', reference, path)
            return False
        if len(chain) > MAX_CHAIN:
            message = f"services extend one another more than {MAX_CHAIN} deep"
            self.scope.notes.problem("R011", message, reference, path, "extend the one at the end directly")
            return False
        if (base.file, wanted) in chain:
            circle = " -> ".join(service for _, service in (*chain, (base.file, wanted)))
            self.scope.notes.problem("R048", f"services extend one another in a circle: {circle}", reference, path)
            return False
        return True

    def _family(self, file: Node, name: str) -> _Family | None:
        path = joined(self.scope.directory, str(file.value))
        if path not in self.families:
            self.families[path] = self._read(path, file, ("services", name, "extends", "file"))
        family = self.families[path]
        return family if family.services else None

    def _read(self, path: str, asked_at: Node, at: Path) -> _Family:
        """Read a base's file without its includes and its own extends, which follow when a service asks."""
        notes = Notes()
        model = Node({}, asked_at.mark)
        resets: frozenset[Place] = frozenset()
        documents = self.scope.sources.parse(path, asked_at, at)
        for document in documents:
            kept, resets = take_resets(document, notes)
            model = merge(forget(model, resets), self.scope.interpolate(kept, notes), notes)
            model = distinct(self.scope.canonical(distinct(model), notes))
        model = resolve_paths(model, relpath(dirname(path), self.scope.directory), self.scope.home, notes)
        services = model.value.get("services") if isinstance(model.value, dict) else None
        found = services.value if services and isinstance(services.value, dict) else {}
        self.scope.notes.problems += notes.problems
        self.scope.notes.warnings += notes.warnings
        if documents and not found:
            file = self.scope.sources.name(path)
            self.scope.notes.problem("R047", f"{file} has no services to extend", asked_at, at)
        return _Family(path, found, resets, notes)

    def _adopt_unset(self, family: _Family, name: str) -> None:
        """Variables and traps of services nobody starts from are nobody's."""
        prefix = f"services.{name}."
        notes = self.scope.notes
        notes.unset += [unset for unset in family.notes.unset if unset.at.startswith(prefix) and unset not in notes.unset]
        notes.traps += [trap for trap in family.notes.traps if trap.at.startswith(prefix) and trap not in notes.traps]


def _base_of(service: Node) -> tuple[Node, Node | None] | None:
    """Return the service wanted and its file; None for no or a malformed wish, of which the schema check speaks."""
    wish = service.value.get("extends") if isinstance(service.value, dict) else None
    match wish.value if wish else None:
        case str() if wish:
            return wish, None
        case {"service": Node(value=str()) as reference, "file": Node(value=str()) as file}:
            return reference, file
        case {"service": Node(value=str()) as reference, **rest} if "file" not in rest:
            return reference, None
        case _:
            return None


def _without_extends(service: Node) -> Node:
    entries = service.value if isinstance(service.value, dict) else {}
    return service.with_value({name: child for name, child in entries.items() if name != "extends"})


def _reset(base: Node, name: str, resets: frozenset[Place]) -> Node:
    return forget(base, (place[2:] for place in resets if place[:2] == ("services", name) and len(place) > 2))
