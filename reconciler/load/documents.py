"""What do the files of a project say together, before it has a name and its services are chosen?

The order of the steps is Compose's: it decides what a later file may take back and against what it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.errors import Mark
from reconciler.load.defaults import with_defaults
from reconciler.load.distinct import distinct
from reconciler.load.exclusive import check_exclusive
from reconciler.load.extends import apply_extends
from reconciler.load.include import apply_includes
from reconciler.load.merge import merge
from reconciler.load.node import Node
from reconciler.load.paths import resolve_paths
from reconciler.load.resets import forget, take_resets
from reconciler.load.schema import validate
from reconciler.load.scope import Scope

CONTENT = "x-#value"


def load_documents(files: tuple[str, ...], scope: Scope) -> Node:
    """Return what the files (absolute paths) say, merged in order and in canonical form.

    Problems are noted in the scope; what is wrong is left out of the result.
    """
    model = Node({}, Mark(scope.sources.name(files[0])))
    for file in files:
        for document in scope.sources.parse(file):
            model = _with_document(model, document, file, scope)
    model = with_defaults(model)
    check_exclusive(model, scope.notes)
    model = resolve_paths(model, scope.folder, scope.home, scope.notes, scope.sources.root)
    return _with_variables(model, scope) if scope.interpolated else model


def _with_document(model: Node, document: Node, file: str, scope: Scope) -> Node:
    kept, resets = take_resets(document, scope.notes)
    if not isinstance(kept.value, dict):
        scope.notes.problem("R030", "a Compose file must be a mapping at its top", document)
        return model
    kept = apply_extends(scope.interpolate(kept), resets, file, scope)
    kept = apply_includes(kept, file, scope, load_documents)
    merged = distinct(merge(forget(model, resets), kept, scope.notes))
    checked = _without_version(validate(merged, scope.notes), scope)
    return distinct(scope.canonical(checked))


def _without_version(model: Node, scope: Scope) -> Node:
    if not isinstance(model.value, dict) or "version" not in model.value:
        return model
    version = model.value["version"]
    scope.notes.warning("R039", "the attribute version is obsolete and ignored", version, ("version",), "remove it")
    return model.with_value({name: child for name, child in model.value.items() if name != "version"})


def _with_variables(model: Node, scope: Scope) -> Node:
    """Give values to the names that stand without one: here, because included files have variables of their own."""
    if not isinstance(model.value, dict):
        return model
    entries = dict(model.value)
    for kind in entries.keys() & {"services", "secrets", "configs"}:
        fill = _environment if kind == "services" else _content
        entries[kind] = _each(entries[kind], fill, scope)
    return model.with_value(entries)


def _each(resources: Node, fill: Callable[[Node, Scope], Node], scope: Scope) -> Node:
    if not isinstance(resources.value, dict):
        return resources
    return resources.with_value({name: fill(child, scope) for name, child in resources.value.items()})


def _environment(service: Node, scope: Scope) -> Node:
    entries = service.value if isinstance(service.value, dict) else {}
    written = entries.get("environment")
    if not written or not isinstance(written.value, list):
        return service
    listed = written.with_value([_valued(item, scope) for item in written.value])
    return service.with_value({**entries, "environment": listed})


def _valued(item: Node, scope: Scope) -> Node:
    value = scope.variables.get(str(item.value))
    return item if value is None else secretive(item, f"{item.value}={value}")


def _content(resource: Node, scope: Scope) -> Node:
    entries = resource.value if isinstance(resource.value, dict) else {}
    name = entries.get("environment")
    value = scope.variables.get(str(name.value)) if name else None
    if name is None or value is None:
        return resource
    return resource.with_value({**entries, CONTENT: secretive(name, value)})


def secretive(node: Node, value: str) -> Node:
    """Return the node with a value that came from outside, so that no message shows it."""
    return replace(node, value=value, mark=replace(node.mark, literal=False))
