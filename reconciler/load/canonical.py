"""What does each short form stand for, written out?

Every function takes an attribute's node and returns the same in its long form, with the place of the short one.
What has the wrong shape is left as it is: the schema check speaks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.load.merge import dependency
from reconciler.load.mounts import OUTDATED_OPTIONS, PROPAGATIONS, RELABELLINGS, Mount, clean, parse_mount
from reconciler.load.node import Content, Node
from reconciler.load.notes import Notes, Path
from reconciler.load.ports import parse_ports
from reconciler.load.scalars import render

_Change = Callable[[Node, Path, Notes], Node]


def canonical(document: Node, notes: Notes, *, interpolated: bool = True) -> Node:
    """Return the document with every short form written out.

    While variables still stand in it, a short form that cannot be read stays as it is written.
    """
    return _changed(document, (), notes, _TOP if interpolated else _AS_WRITTEN)


def _changed(node: Node, path: Path, notes: Notes, changes: Mapping[str, _Change]) -> Node:
    """Apply each change to the key it is for; `*` is for every key."""
    if not isinstance(node.value, dict):
        return node
    every = changes.get("*")
    entries = dict(node.value)
    for name in entries if every else changes.keys() & entries.keys():
        entries[name] = (every or changes[name])(entries[name], (*path, name), notes)
    return node.with_value(entries)


def _if_readable(change: _Change) -> _Change:
    def changed(node: Node, path: Path, notes: Notes) -> Node:
        own = Notes()
        written_out = change(node, path, own)
        if own.problems:
            return node
        notes.warnings += own.warnings
        return written_out

    return changed


def _below(changes: Mapping[str, _Change]) -> _Change:
    return lambda node, path, notes: _changed(node, path, notes, changes)


def _each(change: _Change) -> _Change:
    """Apply the change to every item of a list."""

    def changed(node: Node, path: Path, notes: Notes) -> Node:
        if not isinstance(node.value, list):
            return node
        return node.with_value([change(item, (*path, index), notes) for index, item in enumerate(node.value)])

    return changed


def _listed(node: Node, path: Path, notes: Notes) -> Node:
    return node.with_value([node]) if isinstance(node.value, str) else node


def _name_servers(node: Node, path: Path, notes: Notes) -> Node:
    """Compose leaves out empty entries here, and only here."""
    listed = _listed(node, path, notes)
    if not isinstance(listed.value, list):
        return listed
    return listed.with_value([item for item in listed.value if item.value not in (None, "")])


def _keyed(node: Node, path: Path, notes: Notes) -> Node:
    """A list of names stands for a mapping from them to nothing."""
    if not isinstance(node.value, list):
        return node
    return node.with_value({str(item.value): item.with_value(None) for item in node.value})


def _dependencies(node: Node, path: Path, notes: Notes) -> Node:
    match node.value:
        case list(items):
            return node.with_value({str(item.value): item.with_value(dependency(item)) for item in items})
        case dict(entries):
            return node.with_value({name: _with_defaults(child, dependency(child)) for name, child in entries.items()})
        case _:
            return node


def _with_defaults(node: Node, defaults: Mapping[str, Node]) -> Node:
    return node.with_value({**defaults, **node.value}) if isinstance(node.value, dict) else node


def _env_files(node: Node, path: Path, notes: Notes) -> Node:
    listed = _listed(node, path, notes)
    return _each(_env_file)(listed, path, notes)


def _env_file(node: Node, path: Path, notes: Notes) -> Node:
    if isinstance(node.value, str):
        return node.with_value({"path": node, "required": node.with_value(True)})
    return _with_defaults(node, {"required": node.with_value(True)})


def _extended(node: Node, path: Path, notes: Notes) -> Node:
    return node.with_value({"service": node}) if isinstance(node.value, str) else node


def _sourced(node: Node, path: Path, notes: Notes) -> Node:
    return node.with_value({"source": node}) if isinstance(node.value, str) else node


def _graphics(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, str):
        return node
    return node.with_value([node.with_value({"count": node.with_value("all")})])


def _device(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, str):
        return node
    parts = node.value.split(":")
    if len(parts) > 3:
        notes.problem("R057", "a device has at most three parts", node, path, "use the long form")
        return node
    fields = {"source": parts[0], "target": (parts[1:2] or [""])[0] or parts[0], "permissions": (parts[2:] or ["rwm"])[0]}
    return _spread(node, fields)


def _ports(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, list):
        return node
    written = [_port(item, (*path, index), notes) for index, item in enumerate(node.value)]
    return node.with_value([port for ports in written for port in ports])


def _port(node: Node, path: Path, notes: Notes) -> list[Node]:
    match node.value:
        case dict():
            return [node]
        case bool() | float() | None | list():
            notes.problem("R055", "a port must be a text or a whole number", node, path)
            return []
        case text:
            return _parsed_ports(node, str(text), path, notes)


def _parsed_ports(node: Node, text: str, path: Path, notes: Notes) -> list[Node]:
    try:
        ports = parse_ports(text)
    except ValueError as fault:
        hint = 'write "[address:][host:]container[/protocol]", such as "127.0.0.1:8080:80"'
        notes.problem("R055", f"invalid port: {fault}", node, path, hint)
        return []
    return [
        _spread(
            node,
            {
                "mode": "ingress",
                "host_ip": port.address,
                "target": port.target,
                "published": port.published,
                "protocol": port.protocol,
            },
        )
        for port in ports
    ]


def _volume(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, str):
        return node
    try:
        mount = parse_mount(node.value)
    except ValueError as fault:
        hint = "write [source:]target[:options], or use the long form"
        notes.problem("R056", f"invalid volume: {fault}", node, path, hint)
        return node.with_value({"type": node.with_value("volume")})
    _note_mount_traps(mount, node, path, notes)
    return _spread(node, _mount_fields(mount))


def _mount_fields(mount: Mount) -> dict[str, object]:
    bind: dict[str, object] = {"propagation": mount.last_of(PROPAGATIONS), "selinux": mount.last_of(RELABELLINGS)}
    volume = {"nocopy": True} if "nocopy" in mount.options else {}
    fields: dict[str, object] = {
        "type": "bind" if mount.is_bind else "volume",
        "source": mount.source,
        "target": clean(mount.target),
        "read_only": mount.last_of(("ro", "rw")) == "ro",
    }
    if mount.is_bind:
        bind["create_host_path"] = True
    if any(bind.values()):
        fields["bind"] = bind
    if volume or not (mount.is_bind or mount.plain):
        fields["volume"] = volume
    return fields


def _note_mount_traps(mount: Mount, node: Node, path: Path, notes: Notes) -> None:
    if mount.drive:
        hint = "a volume's name needs two characters or more; the long form takes any"
        notes.trap("R066", "a single letter before a colon is read as a Windows drive", node, path, hint)
    for option in mount.ignored:
        if option in OUTDATED_OPTIONS:
            notes.warning("R068", f'the volume option "{option}" has no effect', node, path, "remove it")
        else:
            hint = "known are ro, rw, z, Z, nocopy and the propagations"
            notes.trap("R067", f'unknown volume option "{option}", which Compose ignores', node, path, hint)


def _pairs(node: Node, path: Path, notes: Notes) -> Node:
    """A list of `NAME=value` may have no space before the sign, as a mapping's key may."""
    for index, item in enumerate(node.value if isinstance(node.value, list) else ()):
        name = str(item.value).partition("=")[0]
        if name[-1:].isspace():
            notes.problem("R054", "a variable's name ends in a space", item, (*path, index), "remove the space")
    return node


def _build(node: Node, path: Path, notes: Notes) -> Node:
    if isinstance(node.value, str):
        return node.with_value({"context": node})
    return _changed(node, path, notes, _BUILD)


def _text(node: Node, path: Path, notes: Notes) -> Node:
    return node if isinstance(node.value, dict | list) else node.with_value(render(node.value))


def _contexts(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for index, item in enumerate(node.value):
        name, separator, value = str(item.value).partition("=")
        if not separator:
            notes.problem("R057", "a build context needs a name: name=value", item, (*path, index))
        found[name] = item.with_value(value)
    return node.with_value(found)


def _ssh_keys(node: Node, path: Path, notes: Notes) -> Node:
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for index, item in enumerate(node.value):
        name, separator, value = str(item.value).partition("=")
        if not separator and name != "default":
            notes.problem("R057", "an SSH key needs a path: id=path", item, (*path, index))
        found[name] = item.with_value(value if separator else None)
    return node.with_value(found)


def _external(node: Node, path: Path, notes: Notes) -> Node:
    """Turn `external: {name: N}` into `external: true` with that name, which Compose calls deprecated."""
    if not isinstance(node.value, dict) or not isinstance((external := node.value.get("external")), Node):
        return node
    if not isinstance(external.value, dict):
        return node
    entries = {**node.value, "external": external.with_value(True)}
    outer = external.value.get("name")
    if outer:
        notes.warning("R069", "external.name is deprecated", outer, (*path, "external"), "write name and external: true")
        if "name" in node.value and node.value["name"].value != outer.value:
            notes.problem("R063", "name and external.name differ", outer, (*path, "external"), "use name only")
        entries.setdefault("name", outer)
    return node.with_value(entries)


def _spread(node: Node, fields: Mapping[str, object]) -> Node:
    """Return a mapping of the fields that say something, all at the place of the short form."""
    return node.with_value({name: _placed(node, value) for name, value in fields.items() if value not in ("", False)})


def _placed(node: Node, value: object) -> Node:
    return _spread(node, value) if isinstance(value, dict) else node.with_value(_scalar(value))


def _scalar(value: object) -> Content:
    return value if isinstance(value, str | bool | int) else str(value)


_HOOKS = _each(_below({"environment": _pairs}))

_BUILD: Mapping[str, _Change] = {
    "args": _pairs,
    "secrets": _each(_sourced),
    "provenance": _text,
    "sbom": _text,
    "additional_contexts": _contexts,
    "ssh": _ssh_keys,
}

_SERVICE: Mapping[str, _Change] = {
    "build": _build,
    "configs": _each(_sourced),
    "depends_on": _dependencies,
    "develop": _below({"watch": _each(_below({"ignore": _listed, "include": _listed}))}),
    "devices": _each(_device),
    "dns": _name_servers,
    "env_file": _env_files,
    "environment": _pairs,
    "extends": _extended,
    "gpus": _graphics,
    "label_file": _listed,
    "models": _keyed,
    "networks": _keyed,
    "ports": _ports,
    "post_start": _HOOKS,
    "pre_stop": _HOOKS,
    "secrets": _each(_sourced),
    "volumes": _each(_volume),
}

_TOP: Mapping[str, _Change] = {
    "services": _below({"*": _below(_SERVICE)}),
    "networks": _below({"*": _external}),
    "volumes": _below({"*": _external}),
    "configs": _below({"*": _external}),
    "secrets": _below({"*": _external}),
}

_SERVICE_AS_WRITTEN: Mapping[str, _Change] = {
    **_SERVICE,
    "devices": _each(_if_readable(_device)),
    "environment": _if_readable(_pairs),
    "ports": _if_readable(_ports),
}

_AS_WRITTEN: Mapping[str, _Change] = {**_TOP, "services": _below({"*": _below(_SERVICE_AS_WRITTEN)})}
