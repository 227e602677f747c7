"""Which call makes each change?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from reconciler.drivers.docker import content, images, lease, wording
from reconciler.drivers.docker.connection import Connection, path_of
from reconciler.drivers.docker.errors import Rejected, one_line
from reconciler.drivers.docker.execute import execute
from reconciler.errors import Conflict, Refused
from reconciler.model import labels
from reconciler.model.plan import (
    ConnectNetwork,
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    DeliverFiles,
    DisconnectNetwork,
    EngineChange,
    FillVolume,
    HandOver,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RemoveNetwork,
    RemoveVolume,
    RenameInstance,
    RunHook,
    StartInstance,
    StopInstance,
    Target,
    UnpauseInstance,
    UpdateInstance,
)

SEVERAL_NETWORKS = (1, 44)
"""The first API version that attaches a container to more than one network as it creates it."""

GRACE_SECONDS = 10
"""The engine's own, where the container says nothing."""

HOOK_SECONDS = 900.0
OUTPUT_BYTES = 4096

NAMESPACES = ("NetworkMode", "IpcMode", "PidMode")
CONTAINER = "container:"

ContainerChange = (
    CreateInstance | StartInstance | StopInstance | UnpauseInstance | RemoveInstance | RenameInstance | UpdateInstance
)
ContentChange = DeliverFiles | FillVolume | RunHook
NetworkChange = CreateNetwork | RemoveNetwork | ConnectNetwork | DisconnectNetwork
StorageChange = CreateVolume | RemoveVolume | PullImage | RemoveImage


def make(connection: Connection, change: EngineChange) -> None:
    """Make one change. Raises Rejected with the engine's words, or one of ours where more than they say is known."""
    match change:
        case (
            CreateInstance()
            | StartInstance()
            | StopInstance()
            | UnpauseInstance()
            | RemoveInstance()
            | RenameInstance()
            | UpdateInstance()
        ):
            _container(connection, change)
        case DeliverFiles() | FillVolume() | RunHook():
            _content(connection, change)
        case CreateNetwork() | RemoveNetwork() | ConnectNetwork() | DisconnectNetwork():
            _network(connection, change)
        case CreateVolume() | RemoveVolume() | PullImage() | RemoveImage():
            _storage(connection, change)
        case HandOver():
            lease.pass_on(connection, change)
        case _:
            assert_never(change)


def _container(connection: Connection, change: ContainerChange) -> None:
    match change:
        case CreateInstance():
            _create_instance(connection, change)
        case StartInstance(target):
            connection.post(_at(target, "start"))
        case StopInstance(target, grace_seconds):
            _stop(connection, target, grace_seconds)
        case UnpauseInstance(target):
            connection.post(_at(target, "unpause"))
        case RemoveInstance(target, volumes):
            _remove_instance(connection, target, volumes)
        case RenameInstance(target, name):
            connection.post(_at(target, "rename"), name=name)
        case UpdateInstance(target, payload):
            _update(connection, target, payload)
        case _:
            assert_never(change)


def _content(connection: Connection, change: ContentChange) -> None:
    match change:
        case DeliverFiles():
            content.deliver(connection, change)
        case FillVolume():
            content.fill(connection, change)
        case RunHook():
            _run_hook(connection, change)
        case _:
            assert_never(change)


def _network(connection: Connection, change: NetworkChange) -> None:
    match change:
        case CreateNetwork(network, marks):
            # Without the check old engines make several networks of one name.
            own = {"Name": network.name, "CheckDuplicate": True, "Labels": _marks(network.payload, marks)}
            connection.post("/networks/create", {**network.payload, **own})
        case RemoveNetwork(id, _):
            _delete(connection, path_of("/networks/{}", id))
        case ConnectNetwork(target, network, endpoint):
            _connect(connection, target.handle, network, endpoint)
        case DisconnectNetwork(target, network):
            connection.post(path_of("/networks/{}/disconnect", network), {"Container": target.handle, "Force": False})
        case _:
            assert_never(change)


def _storage(connection: Connection, change: StorageChange) -> None:
    match change:
        case CreateVolume():
            _create_volume(connection, change)
        case RemoveVolume(name):
            _delete(connection, path_of("/volumes/{}", name))
        case PullImage():
            images.pull(connection, change)
        case RemoveImage():
            images.remove_image(connection, change)
        case _:
            assert_never(change)


def _create_instance(connection: Connection, change: CreateInstance) -> None:
    host = _resolved(connection, change.payload.get("HostConfig") or {})
    if change.inherits and change.anonymous:
        host["Binds"] = [*(host.get("Binds") or ()), *_inherited(connection, change)]
    first, later = change.networks, change.networks[:0]
    if connection.api < SEVERAL_NETWORKS:
        first, later = change.networks[:1], change.networks[1:]
    payload: dict[str, Any] = {**change.payload, "Image": change.image, "HostConfig": host}
    if first:
        host["NetworkMode"] = first[0].network
        payload["NetworkingConfig"] = {"EndpointsConfig": {one.network: dict(one.endpoint) for one in first}}
    made = connection.post("/containers/create", payload, name=change.name, platform=change.platform or None)
    for attachment in later:
        _connect(connection, made["Id"], attachment.network, attachment.endpoint)


def _resolved(connection: Connection, host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the HostConfig with ids where it names containers: a name may soon belong to a replacement."""
    resolved = dict(host)
    for key in NAMESPACES:
        mode = str(host.get(key) or "")
        if mode.startswith(CONTAINER):
            resolved[key] = CONTAINER + _inspect(connection, mode.removeprefix(CONTAINER))["Id"]
    return resolved


def _inherited(connection: Connection, change: CreateInstance) -> list[str]:
    """Return binds for the predecessor's anonymous volumes."""
    mounts = _inspect(connection, change.inherits)["Mounts"]
    found = {mount["Destination"]: mount["Name"] for mount in mounts if mount["Type"] == "volume"}
    return [f"{found[path]}:{path}" for path in change.anonymous if path in found]


def _stop(connection: Connection, target: Target, grace_seconds: float | None) -> None:
    if grace_seconds is None:
        said = _inspect(connection, target.handle)["Config"].get("StopTimeout")
        waits, wanted = float(GRACE_SECONDS if said is None else said), None
    else:
        # The engine takes whole seconds; a fraction more is kinder than a fraction less.
        waits, wanted = grace_seconds, -int(-grace_seconds // 1)
    connection.post(_at(target, "stop"), t=wanted, seconds=connection.timeout_seconds + waits)


def _remove_instance(connection: Connection, target: Target, volumes: bool) -> None:
    path = path_of("/containers/{}", target.handle)
    try:
        _delete(connection, path, v=volumes)
    except Rejected as rejected:
        # What the engine once failed to remove is dead, and goes only by force.
        if rejected.status != 500 or _inspect(connection, target.handle)["State"]["Status"] != "dead":
            raise
        _delete(connection, path, v=volumes, force=True)


def _update(connection: Connection, target: Target, payload: Mapping[str, Any]) -> None:
    """Update, and read back: some engines and kernels take a limit without a word and do not keep it."""
    try:
        connection.post(_at(target, "update"), dict(payload))
    except Rejected as rejected:
        # Limits that contradict one another are a conflict in the engine's words, but none that looking again solves.
        raise rejected if rejected.status == 404 else Refused(f"update {target.name}: {one_line(rejected.text)}") from None
    held = _inspect(connection, target.handle)["HostConfig"]
    missed = [key for key, value in payload.items() if not _holds(held.get(key), value)]
    if missed:
        said = ", ".join(f"{key} is {held.get(key)}, not {payload[key]}" for key in missed)
        raise Refused(f"update {target.name}: the engine did not keep it: {said}")


def _holds(held: object, wanted: object) -> bool:
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        return all(_holds(held.get(key), value) for key, value in wanted.items())
    # No limit is written in four ways.
    return held == wanted or (held in (None, 0, -1, "") and wanted in (None, 0, -1, ""))


def _run_hook(connection: Connection, change: RunHook) -> None:
    hook = change.hook
    payload = {
        "Cmd": list(hook.command),
        "User": hook.user,
        "Privileged": hook.privileged,
        "WorkingDir": hook.working_dir,
        "Env": list(hook.environment),
    }
    code, said = execute(connection, change.target.handle, payload, seconds=HOOK_SECONDS, most_bytes=OUTPUT_BYTES)
    if code:
        known = [*hook.environment, *(_inspect(connection, change.target.handle)["Config"].get("Env") or ())]
        last = _last_line(said, wording.values(known))
        raise Refused(f"hook {hook.command[0]!r} in {change.target.name} exited with {code}: {last}")


def _last_line(said: bytes, secrets: Iterable[str]) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return one_line(lines[-1], secrets) if lines else "it wrote nothing"


def _connect(connection: Connection, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
    body = {"Container": container, "EndpointConfig": dict(endpoint)}
    connection.post(path_of("/networks/{}/connect", network), body)


def _create_volume(connection: Connection, change: CreateVolume) -> None:
    """Create; a volume that is there already is shown by the engine as if it had just been made."""
    payload = {**change.payload, "Name": change.name, "Labels": _marks(change.payload, change.labels)}
    held = connection.post("/volumes/create", payload).get("Labels") or {}
    if held.get(labels.ENVIRONMENT) != change.labels.get(labels.ENVIRONMENT):
        hint = "name it `external` if it is meant to be used, or choose another name"
        raise Refused(f"volume {change.name} is there already and is not ours", hint=hint)


def _delete(connection: Connection, path: str, **query: object) -> None:
    """Remove; what is gone already is as wanted."""
    try:
        connection.delete(path, **query)
    except Rejected as rejected:
        if rejected.status != 404:
            raise


def _inspect(connection: Connection, handle: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = connection.get(path_of("/containers/{}/json", handle))
    except Rejected as rejected:
        if rejected.status == 404:
            raise Conflict(f"container {handle} is gone") from None
        raise
    return found


def _marks(payload: Mapping[str, Any], ours: Mapping[str, str]) -> dict[str, str]:
    return {**(payload.get("Labels") or {}), **ours}


def _at(target: Target, verb: str) -> str:
    return path_of("/containers/{}/" + verb, target.handle)
