"""Which values does Compose put in where a file says nothing?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.load.node import Node


def with_defaults(model: Node) -> Node:
    """Return the canonical model with the defaults that do not depend on the project."""
    return _field(model, "services", lambda services: _each(services, _service))


def _service(service: Node) -> Node:
    for name, change in _SERVICE.items():
        service = _field(service, name, change)
    return service


def _build(build: Node) -> Node:
    return _added(build, {"context": build.with_value(".")})


def _ports(ports: Node) -> Node:
    return _items(ports, lambda port: _added(port, {"protocol": port.with_value("tcp"), "mode": port.with_value("ingress")}))


def _secrets(secrets: Node) -> Node:
    return _items(secrets, lambda secret: _added(secret, {"target": secret.with_value(_secret_target(secret))}))


def _secret_target(secret: Node) -> str:
    source = secret.value.get("source") if isinstance(secret.value, dict) else None
    return f"/run/secrets/{source.value}" if source else "/run/secrets/<nil>"


def _requests(requests: Node) -> Node:
    return _items(requests, _request)


def _request(request: Node) -> Node:
    if isinstance(request.value, dict) and not request.value.keys() & {"count", "device_ids"}:
        return _added(request, {"count": request.with_value("all")})
    return request


def _deploy(deploy: Node) -> Node:
    def reservations(node: Node) -> Node:
        return _field(node, "devices", _requests)

    return _field(deploy, "resources", lambda resources: _field(resources, "reservations", reservations))


def _field(node: Node, name: str, change: Callable[[Node], Node]) -> Node:
    if not isinstance(node.value, dict) or name not in node.value:
        return node
    return node.with_value({**node.value, name: change(node.value[name])})


def _each(node: Node, change: Callable[[Node], Node]) -> Node:
    if not isinstance(node.value, dict):
        return node
    return node.with_value({name: change(child) for name, child in node.value.items()})


def _items(node: Node, change: Callable[[Node], Node]) -> Node:
    return node.with_value([change(item) for item in node.value]) if isinstance(node.value, list) else node


def _added(node: Node, defaults: Mapping[str, Node]) -> Node:
    return node.with_value({**defaults, **node.value}) if isinstance(node.value, dict) else node


_SERVICE: Mapping[str, Callable[[Node], Node]] = {
    "build": _build,
    "deploy": _deploy,
    "gpus": _requests,
    "ports": _ports,
    "secrets": _secrets,
}
