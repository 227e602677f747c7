"""Which volumes are there, and what does a container mount?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.drivers.memory.refusal import EngineError

_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}

Mount = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was put into a container or a volume."""

    content: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int


@dataclass(slots=True)
class Volume:
    """A volume. `anonymous` ones were made for one container; `files` are what was put into it, by path from its root."""

    name: str
    labels: Mapping[str, str]
    detail: Mapping[str, Any]
    anonymous: bool = False
    files: dict[str, StoredFile] = field(default_factory=dict)


@dataclass(slots=True)
class VolumeStore:
    """The engine's volumes, by name."""

    by_name: dict[str, Volume] = field(default_factory=dict)

    def get(self, name: str) -> Volume:
        if name not in self.by_name:
            raise EngineError(404, f"get {name}: no such volume")
        return self.by_name[name]

    def create(
        self, name: str, payload: Mapping[str, Any], labels: Mapping[str, str] | None, at: datetime, *, anonymous: bool = False
    ) -> Volume:
        """Make a volume, or return the one of that name just as it is."""
        if name not in self.by_name:
            self.by_name[name] = Volume(name, dict(labels or {}), _document(name, payload, labels, at), anonymous)
        return self.by_name[name]

    def remove(self, name: str, users: Iterable[str]) -> None:
        """Remove a volume. Raises EngineError while containers (`users`, ids), running or not, mount it."""
        self.get(name)
        using = ", ".join(users)
        if using:
            raise EngineError(409, f"remove {name}: volume is in use - [{using}]")
        del self.by_name[name]


def _document(name: str, payload: Mapping[str, Any], labels: Mapping[str, str] | None, at: datetime) -> dict[str, Any]:
    return {
        "CreatedAt": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "Driver": payload.get("Driver") or "local",
        "Labels": None if labels is None else dict(labels),
        "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
        "Name": name,
        "Options": payload.get("DriverOpts"),
        "Scope": "local",
    }


def mounts_of(
    config: Mapping[str, Any], host: Mapping[str, Any], inherited: Iterable[Mount], name_for: Callable[[str], str]
) -> list[Mount]:
    """Return the mount points of a container: `inherited` ones, binds, mounts, then anonymous volumes where nothing else is.

    `name_for` names the anonymous volume at a path.
    """
    found: dict[str, Mount] = {mount["Destination"]: dict(mount) for mount in inherited}
    found |= {mount["Destination"]: mount for mount in map(_from_bind, host.get("Binds") or ())}
    found |= {mount["Destination"]: mount for mount in (_from_mount(entry, name_for) for entry in host.get("Mounts") or ())}
    for path in config.get("Volumes") or {}:
        if path not in found and path not in (host.get("Tmpfs") or {}):
            found[path] = _of_volume(name_for(path), path, "", writable=True)
    return list(found.values())


def _from_bind(text: str) -> Mount:
    source, destination, mode = (*text.split(":", 2), "")[:3]
    words = set(mode.split(","))
    if not source.startswith("/"):
        return _of_volume(source, destination, mode or "z", writable="ro" not in words)
    propagation = next(iter(words & _PROPAGATIONS), "rprivate")
    return _of_path(source, destination, mode, propagation, writable="ro" not in words)


def _from_mount(entry: Mapping[str, Any], name_for: Callable[[str], str]) -> Mount:
    destination, writable = entry["Target"], not entry.get("ReadOnly")
    if entry["Type"] == "volume":
        return _of_volume(entry.get("Source") or name_for(destination), destination, "z", writable=writable)
    if entry["Type"] == "bind":
        propagation = (entry.get("BindOptions") or {}).get("Propagation") or "rprivate"
        return _of_path(entry["Source"], destination, "", propagation, writable=writable)
    return {"Type": entry["Type"], "Source": "", "Destination": destination, "Mode": "", "RW": writable, "Propagation": ""}


def _of_volume(name: str, destination: str, mode: str, *, writable: bool) -> Mount:
    return {
        "Type": "volume",
        "Name": name,
        "Source": f"/var/lib/docker/volumes/{name}/_data",
        "Destination": destination,
        "Driver": "local",
        "Mode": mode,
        "RW": writable,
        "Propagation": "",
    }


def _of_path(source: str, destination: str, mode: str, propagation: str, *, writable: bool) -> Mount:
    return {
        "Type": "bind",
        "Source": source,
        "Destination": destination,
        "Mode": mode,
        "RW": writable,
        "Propagation": propagation,
    }
