"""Which attributes of one resource rule each other out, and of which must one be there?"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.load.node import Node
from reconciler.load.notes import Notes, Path
from reconciler.load.ports import is_address


def check_exclusive(model: Node, notes: Notes) -> None:
    """Note every resource that says two things of which one rules the other out, or lacks what it cannot be without."""
    for name, volume in _entries(model, "volumes"):
        _check_external_volume(volume, ("volumes", name), notes)
    for name, config in _entries(model, "configs"):
        _check_content(config, ("file", "environment", "content"), ("configs", name), notes)
    for name, secret in _entries(model, "secrets"):
        _check_content(secret, ("file", "environment"), ("secrets", name), notes)
    for name, service in _entries(model, "services"):
        _check_service(service, ("services", name), notes)


def _check_external_volume(volume: Node, path: Path, notes: Notes) -> None:
    external = _at(volume, "external")
    if not external or external.value is not True:
        return
    for name, child in _fields(volume):
        if name not in ("name", "external") and not name.startswith("x-"):
            message = f'an external volume exists already, so "{name}" cannot be said of it'
            notes.problem("R063", message, child, (*path, name), "remove it, or external")


def _check_content(resource: Node, sources: tuple[str, ...], path: Path, notes: Notes) -> None:
    fields = dict(_fields(resource))
    said = [name for name in sources if name in fields]
    if len(said) > 1:
        notes.problem("R063", f"only one of {', '.join(sources)} can be said", fields[said[1]], (*path, said[1]))
    elif not said and not fields.keys() & {"driver", "external"}:
        notes.problem("R035", f"{path[-1]} needs one of {', '.join(sources)}", resource, path)


def _check_service(service: Node, path: Path, notes: Notes) -> None:
    for index, port in _items(service, "ports"):
        address = _at(port, "host_ip")
        if address and not is_address(str(address.value)):
            notes.problem("R055", "invalid port: host_ip is no IP address", address, (*path, "ports", index, "host_ip"))
    for name in ("ports", "volumes", "devices"):
        for index, entry in _items(service, name):
            # A text is a short form whose variables nobody has replaced.
            if not isinstance(entry.value, str) and not _at(entry, "target"):
                notes.problem("R035", f"an entry of {name} needs a target", entry, (*path, name, index))
    for index, device in _items(service, "devices"):
        if not isinstance(device.value, str) and not _at(device, "source"):
            notes.problem("R035", "an entry of devices needs a source", device, (*path, "devices", index))
    for index, request in _items(service, "gpus"):
        _check_request(request, (*path, "gpus", index), notes)
    reservations = _at(_at(_at(service, "deploy"), "resources"), "reservations")
    for index, request in _items(reservations, "devices"):
        _check_request(request, (*path, "deploy", "resources", "reservations", "devices", index), notes)
    for index, watch in _items(_at(service, "develop"), "watch"):
        watched = _at(watch, "path")
        if watched and watched.value == "":
            notes.problem("R035", "a watch needs a path", watched, (*path, "develop", "watch", index, "path"))


def _check_request(request: Node, path: Path, notes: Notes) -> None:
    fields = dict(_fields(request))
    if "count" in fields and "device_ids" in fields:
        notes.problem("R063", "count and device_ids rule each other out", fields["count"], path)


def _entries(model: Node, kind: str) -> Iterator[tuple[str, Node]]:
    yield from _fields(_at(model, kind))


def _fields(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node and isinstance(node.value, dict):
        yield from node.value.items()


def _items(node: Node | None, name: str) -> Iterator[tuple[int, Node]]:
    listed = _at(node, name)
    if listed and isinstance(listed.value, list):
        yield from enumerate(listed.value)


def _at(node: Node | None, name: str) -> Node | None:
    return node.value.get(name) if node and isinstance(node.value, dict) else None
