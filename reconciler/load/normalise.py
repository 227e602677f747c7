"""What does Compose add to a complete model: names, the default network, dependencies a service implies?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.load.documents import secretive
from reconciler.load.mounts import clean
from reconciler.load.node import Node

_NAMED = ("networks", "volumes", "configs", "secrets")
_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


def normalise(model: Node, project: str, variables: Mapping[str, str] | None) -> Node:
    """Return the model with everything said that Compose implies for a project of this name.

    Without `variables` nothing is read yet: environments stay as they are written, and a number of replicas where it is.
    """
    entries = dict(model.value) if isinstance(model.value, dict) else {}
    entries["name"] = replace(entries.get("name", model), value=project)
    services = {name: _service(child, variables) for name, child in _fields(entries.get("services")).items()}
    if "services" in entries:
        entries["services"] = entries["services"].with_value(services)
    networks = dict(_fields(entries.get("networks")))
    users = [service for service in services.values() if "default" in _fields(_fields(service).get("networks"))]
    if users and "default" not in networks:
        networks["default"] = users[0].with_value(None)
    if networks:
        entries["networks"] = entries.get("networks", model).with_value(networks)
    for kind in entries.keys() & _NAMED:
        named = {name: _named(child, name, project) for name, child in _fields(entries[kind]).items()}
        entries[kind] = entries[kind].with_value(named)
    return model.with_value(entries)


def _service(service: Node, variables: Mapping[str, str] | None) -> Node:
    entries = dict(_fields(service))
    _connect(service, entries)
    if "pull_policy" in entries and entries["pull_policy"].value == "if_not_present":
        entries["pull_policy"] = entries["pull_policy"].with_value("missing")
    if "deploy" in entries and "scale" in entries and variables is not None:
        entries["deploy"] = _deploy(entries["deploy"], entries["scale"])
    if "build" in entries:
        entries["build"] = _build(entries["build"], variables)
    if "environment" in entries and variables is not None:
        entries["environment"] = _environment(entries["environment"], variables)
    if "volumes" in entries:
        entries["volumes"] = _mounts(entries["volumes"])
    dependencies = _dependencies(entries)
    if dependencies:
        entries["depends_on"] = entries.get("depends_on", service).with_value(dependencies)
    return service.with_value(entries)


def _connect(service: Node, entries: dict[str, Node]) -> None:
    """A service that says nothing of its networks joins the default one."""
    if entries.keys() & {"provider", "network_mode"}:
        return
    if not _fields(entries.get("networks")):
        place = entries.get("networks", service)
        entries["networks"] = place.with_value({"default": place.with_value(None)})


def _deploy(deploy: Node, scale: Node) -> Node:
    """The number that scale says is said here, too, but only where there is a deploy at all."""
    if not isinstance(deploy.value, dict):
        return deploy
    return deploy.with_value({"replicas": scale, **deploy.value})


def _build(build: Node, variables: Mapping[str, str] | None) -> Node:
    entries = {"context": build.with_value("."), **_fields(build)}
    if not entries.keys() & {"dockerfile", "dockerfile_inline"}:
        entries["dockerfile"] = build.with_value("Dockerfile")
    if "args" in entries:
        entries["args"] = _arguments(entries["args"], variables)
    return build.with_value(entries)


def _arguments(arguments: Node, variables: Mapping[str, str] | None) -> Node:
    """A name without a value is no argument."""
    if variables is None and isinstance(arguments.value, list):
        return arguments.with_value([item for item in arguments.value if "=" in str(item.value)])
    named = _fields(_environment(arguments, variables or {}))
    return arguments.with_value({name: child for name, child in named.items() if child.value is not None})


def _environment(environment: Node, variables: Mapping[str, str]) -> Node:
    """Return the mapping of a mapping or a list, the names without a value given one where there is one."""
    pairs = dict(_fields(environment))
    if isinstance(environment.value, list):
        pairs = dict(_pair(item) for item in environment.value)
    for name, child in pairs.items():
        if child.value is None and name in variables:
            pairs[name] = secretive(child, variables[name])
    return environment.with_value(pairs)


def _pair(item: Node) -> tuple[str, Node]:
    name, separator, value = str(item.value).partition("=")
    return name, item.with_value(value if separator else None)


def _mounts(mounts: Node) -> Node:
    return mounts.with_value([_mount(mount) for mount in _items(mounts)])


def _mount(mount: Node) -> Node:
    fields = _fields(mount)
    if "target" not in fields:
        return mount
    return mount.with_value({**fields, "target": fields["target"].with_value(clean(str(fields["target"].value)))})


def _dependencies(entries: Mapping[str, Node]) -> dict[str, Node]:
    implied: dict[str, Node] = {}
    for node in _items(entries.get("links")):
        _imply(implied, _linked(str(node.value)), node, restart=True)
    for namespace in _NAMESPACES:
        shared = entries.get(namespace)
        if shared and isinstance(shared.value, str) and shared.value.startswith("service:"):
            _imply(implied, shared.value.removeprefix("service:"), shared, restart=True)
    for node in _items(entries.get("volumes_from")):
        if not str(node.value).startswith("container:"):
            _imply(implied, str(node.value).split(":")[0], node, restart=False)
    return {**implied, **_fields(entries.get("depends_on"))}


def _linked(link: str) -> str:
    parts = link.split(":")
    return parts[0] if len(parts) == 2 else link


def _imply(implied: dict[str, Node], service: str, place: Node, *, restart: bool) -> None:
    fields: dict[str, str | bool] = {"condition": "service_started", "restart": restart, "required": True}
    said = place.with_value({name: place.with_value(value) for name, value in fields.items()})
    implied.setdefault(service, said)


def _named(resource: Node, key: str, project: str) -> Node:
    fields = _fields(resource)
    if "name" in fields and fields["name"].value is not None:
        return resource
    # A text where nothing is read yet, by the words of Go's strconv.ParseBool.
    external = "external" in fields and str(fields["external"].value).lower() in ("true", "t", "1")
    name = key if external else f"{project}_{key}"
    return resource.with_value({**fields, "name": resource.with_value(name)})


def _fields(node: Node | None) -> dict[str, Node]:
    return node.value if node and isinstance(node.value, dict) else {}


def _items(node: Node | None) -> Iterable[Node]:
    return node.value if node and isinstance(node.value, list) else ()
