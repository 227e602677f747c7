"""What does `docker compose config` print for a project?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.load.attributes import Rule, rules
from reconciler.load.compose import Project
from reconciler.load.emit import yaml_lines

_ORDER = ("name", "services", "networks", "volumes", "secrets", "configs", "models")


def json_document(project: Project) -> dict[str, Any]:
    """Return the document that `--format json` prints: as loaded, in the shape of Compose's own structures."""
    document = _changed(project.document, _JSON)
    return {name: _plain(value, rules().at(name)) for name, value in document.items() if name != "models"}


def yaml_text(project: Project) -> str:
    """Return the text that `--format yaml` prints, with extensions."""
    document = _changed(project.document, _YAML)
    names = [name for name in _ORDER if name in document] + sorted(document.keys() - set(_ORDER))
    return "".join(f"{line}\n" for line in yaml_lines({name: _sorted(document[name]) for name in names}))


def sorted_yaml(document: Mapping[str, Any]) -> str:
    """Return the text that `--format yaml` prints for a project whose variables nobody replaced."""
    return "".join(f"{line}\n" for line in yaml_lines(_sorted(document)))


_Change = Callable[[Any], Any]


def _changed(value: Any, changes: Mapping[str, Any]) -> Any:
    """Return a mapping with each change made to the key it is for; `*` is for every key, `+` for the whole."""
    if not isinstance(value, dict):
        return value
    changed = dict(value)
    for name in changed if "*" in changes else changes.keys() & changed.keys():
        change = changes.get("*") or changes[name]
        changed[name] = change(changed[name]) if callable(change) else _changed(changed[name], change)
    return changes["+"](changed) if "+" in changes else changed


def _always(**fields: Any) -> _Change:
    """Return the change that says the fields even where they are empty."""
    return lambda value: {**fields, **value} if isinstance(value, dict) else value


def _each(**fields: Any) -> _Change:
    """Return the change that says the fields in every item of a list."""
    return lambda items: [{**fields, **item} for item in items]


def _capitals(value: Any) -> Any:
    """Compose forgot to name these fields for JSON, so they are spelled as in its own source."""
    if not isinstance(value, list):
        return value
    return [{name.capitalize(): field for name, field in device.items()} for device in value]


def _watched(watches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**watch, "exec": {"command": None, **watch.get("exec", {})}} for watch in watches]


def _limit(value: Any) -> Any:
    """Compose writes a limit of 0 as a pair that says nothing."""
    if isinstance(value, dict) or value == 0:
        return {"soft": 0, "hard": 0, **(value or {})}
    return value


def _pair_of_zeros(value: Any) -> Any:
    return {} if value == 0 else value


def _keys(separator: str) -> _Change:
    return lambda value: [name if path is None else f"{name}{separator}{path}" for name, path in value.items()]


def _plain(value: Any, rule: Rule | None) -> Any:
    """Return the value without extensions, which JSON shows at the top level only."""
    match value:
        case dict() if rule and (rule.fields or rule.each):
            kept = {name: child for name, child in value.items() if rule.at(name) or not name.startswith("x-")}
            return {name: _plain(child, rule.at(name)) for name, child in kept.items()}
        case list() if rule and rule.item:
            return [_plain(item, rule.item) for item in value]
        case _:
            return value


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {name: _sorted(value[name]) for name in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _generic(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    name = "discrete_resource_spec"
    return [{**one, name: {"kind": "", "value": 0, **one[name]}} if name in one else one for one in resources]


_DEVICES: Mapping[str, Any] = {
    "weight_device": _each(path="", weight=0),
    "device_read_bps": _each(path="", rate="0"),
    "device_read_iops": _each(path="", rate="0"),
    "device_write_bps": _each(path="", rate="0"),
    "device_write_iops": _each(path="", rate="0"),
}
_RESOURCES: Mapping[str, Any] = {"resources": {"reservations": {"generic_resources": _generic}}}

_JSON: Mapping[str, Any] = {
    "networks": {"*": _always(ipam={})},
    "services": {
        "*": {
            "+": _always(command=None, entrypoint=None),
            "blkio_config": {**_DEVICES, "+": lambda config: {name: _capitals(value) for name, value in config.items()}},
            "deploy": {"+": _always(resources={}, placement={}), **_RESOURCES},
            # Compose fails to print a key that has a path in JSON, so that one stands as Compose reads it.
            "build": {"ssh": _keys("=")},
            "develop": {"watch": _watched},
            "ulimits": {"*": _pair_of_zeros},
        }
    },
}

_YAML: Mapping[str, Any] = {
    "services": {
        "*": {
            "blkio_config": _DEVICES,
            "deploy": _RESOURCES,
            "build": {"ssh": _keys(": "), "ulimits": {"*": _limit}},
            "ulimits": {"*": _limit},
        }
    },
}
