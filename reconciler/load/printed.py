"""What does `docker compose config` print for a project?"""

from __future__ import annotations

from typing import Any

from reconciler.load.compose import Project


def json_document(project: Project) -> dict[str, Any]:
    """Return the document that `--format json` prints: as loaded, but the shape of Compose's own structures."""
    document = project.document
    top = {name: value for name, value in document.items() if name != "models"}
    top["services"] = {name: _service(service) for name, service in document["services"].items()}
    if "networks" in document:
        top["networks"] = {name: {"ipam": {}, **_plain(network)} for name, network in document["networks"].items()}
    for kind in document.keys() & {"volumes", "configs", "secrets"}:
        top[kind] = {name: _plain(resource) for name, resource in document[kind].items()}
    return top


def _service(service: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"command": None, "entrypoint": None, **_plain(service)}
    if "deploy" in shown:
        shown["deploy"] = {"resources": {}, "placement": {}, **shown["deploy"]}
    if "blkio_config" in shown:
        shown["blkio_config"] = {name: _devices(value) for name, value in shown["blkio_config"].items()}
    for watch in (shown.get("develop") or {}).get("watch", ()):
        watch.setdefault("exec", {})
        watch["exec"].setdefault("command", None)
    return shown


def _devices(value: Any) -> Any:
    """Compose forgot to name these fields for JSON, so they are spelled as in its own source."""
    if not isinstance(value, list):
        return value
    return [{name.capitalize(): field for name, field in device.items()} for device in value]


def _plain(value: Any) -> Any:
    """Return a copy without extensions, which Compose prints at the top level only."""
    match value:
        case dict():
            return {name: _plain(child) for name, child in value.items() if not name.startswith("x-")}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
