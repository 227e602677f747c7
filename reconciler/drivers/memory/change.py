"""Which calls does each change make, one after the other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, assert_never

from reconciler.drivers.memory import lease
from reconciler.drivers.memory.image import split
from reconciler.drivers.memory.refusal import EngineError
from reconciler.drivers.memory.registry import PULL_SECONDS
from reconciler.drivers.memory.volume import StoredFile
from reconciler.drivers.memory.world import World
from reconciler.errors import Refused
from reconciler.model import labels
from reconciler.model.desired import ContentFile
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

Call = Callable[[], None]
Calls = tuple[Call, ...]

_PLACE = "/content"


def calls(world: World, change: EngineChange) -> Calls:
    """Return the calls to the engine that make up a change. They raise EngineError, or Refused where more is known."""
    match change:
        case CreateInstance():
            return _create(world, change)
        case StartInstance(target):
            return (lambda: world.processes.start(world.engine.get(target.handle)),)
        case StopInstance(target, grace_seconds):
            return (lambda: world.processes.stop(world.engine.get(target.handle), grace_seconds),)
        case UnpauseInstance(target):
            return (lambda: world.processes.unpause(world.engine.get(target.handle)),)
        case RemoveInstance(target, volumes):
            return (_unless_gone(lambda: world.engine.remove(world.engine.get(target.handle), volumes=volumes)),)
        case RenameInstance(target, name):
            return (lambda: world.engine.rename(world.engine.get(target.handle), name),)
        case UpdateInstance(target, payload):
            return (lambda: _update(world, target, payload),)
        case RunHook():
            return (lambda: _run_hook(world, change),)
        case HandOver():
            return (lambda: lease.pass_on(world.engine, change),)
        case DeliverFiles(target, files):
            return (lambda: world.engine.put(world.engine.get(target.handle), _stored(files)),)
        case _:
            return _calls_beside(world, change)


Beside = (
    CreateNetwork
    | RemoveNetwork
    | ConnectNetwork
    | DisconnectNetwork
    | CreateVolume
    | FillVolume
    | RemoveVolume
    | PullImage
    | RemoveImage
)


def _calls_beside(world: World, change: Beside) -> Calls:
    engine = world.engine
    match change:
        case CreateNetwork(network, marks):
            own = {**(network.payload.get("Labels") or {}), **marks}
            return (lambda: _done(engine.create_network(network.name, network.payload, own)),)
        case RemoveNetwork(id, _):
            return (_unless_gone(lambda: engine.remove_network(id)),)
        case ConnectNetwork(target, network_name, endpoint):
            return (lambda: world.processes.connect(engine.get(target.handle), network_name, endpoint),)
        case DisconnectNetwork(target, network_name):
            return (lambda: engine.disconnect(engine.get(target.handle), network_name),)
        case CreateVolume():
            return (lambda: _create_volume(world, change),)
        case FillVolume():
            return _fill(world, change)
        case RemoveVolume(name):
            return (_unless_gone(lambda: engine.remove_volume(name)),)
        case PullImage():
            return _pull(world, change)
        case RemoveImage(reference):
            return (_unless_gone(lambda: engine.remove_image(reference)),)
        case _:
            assert_never(change)


def _create(world: World, change: CreateInstance) -> Calls:
    """The engine attaches a container to one network as it creates it, and to the others afterwards."""
    first, later = change.networks[:1], change.networks[1:]

    def create() -> None:
        host = dict(change.payload.get("HostConfig") or {})
        if change.inherits and change.anonymous:
            host["Binds"] = [*(host.get("Binds") or ()), *_inherited(world, change)]
        payload = {**change.payload, "Image": change.image, "HostConfig": host}
        if first:
            host["NetworkMode"] = first[0].network
            payload["NetworkingConfig"] = {"EndpointsConfig": {one.network: dict(one.endpoint) for one in first}}
        world.engine.create(change.name, payload)

    def connect(network: str, endpoint: Mapping[str, Any]) -> Call:
        return lambda: world.processes.connect(world.engine.get(change.name), network, endpoint)

    return (create, *(connect(one.network, one.endpoint) for one in later))


def _inherited(world: World, change: CreateInstance) -> list[str]:
    mounts = world.engine.get(change.inherits).mounts
    found = {mount["Destination"]: mount["Name"] for mount in mounts if mount["Type"] == "volume"}
    return [f"{found[path]}:{path}" for path in change.anonymous if path in found]


def _update(world: World, target: Target, payload: Mapping[str, Any]) -> None:
    container = world.engine.get(target.handle)
    try:
        world.engine.update(container, payload)
    except EngineError as error:
        raise Refused(f"update {target.name}: {error.message}") from error
    missed = [key for key, value in payload.items() if not _holds(container.host.get(key), value)]
    if missed:
        said = ", ".join(f"{key} is {container.host.get(key)}, not {payload[key]}" for key in missed)
        raise Refused(f"update {target.name}: the engine did not keep it: {said}")


def _holds(held: object, wanted: object) -> bool:
    if isinstance(held, Mapping) and isinstance(wanted, Mapping):
        return all(_holds(held.get(key), value) for key, value in wanted.items())
    unlimited = (None, 0, -1, "")
    return held == wanted or (held in unlimited and wanted in unlimited)


def _run_hook(world: World, change: RunHook) -> None:
    container = world.engine.get(change.target.handle)
    exit_code = world.processes.execute(container, change.hook.command)
    world.hooks.append((container.name, change.hook.command))
    if exit_code:
        raise Refused(f"hook {change.hook.command[0]!r} in {change.target.name} exited with {exit_code}: it wrote nothing")


def _create_volume(world: World, change: CreateVolume) -> None:
    own = {**(change.payload.get("Labels") or {}), **change.labels}
    held = world.engine.create_volume(change.name, change.payload, own).labels
    if held.get(labels.ENVIRONMENT) != change.labels.get(labels.ENVIRONMENT):
        hint = "name it `external` if it is meant to be used, or choose another name"
        raise Refused(f"volume {change.name} is there already and is not ours", hint=hint)


def _fill(world: World, change: FillVolume) -> Calls:
    """A helper container is made, given the files, and removed: a killed process leaves it behind."""
    engine, name = world.engine, f"{change.volume}-fill"
    mount = {"Type": "volume", "Source": change.volume, "Target": _PLACE}
    payload = {
        "Image": change.image,
        "Labels": dict(change.labels),
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }

    def create() -> None:
        left = engine.find(name)
        if left and all(left.labels.get(key) == value for key, value in change.labels.items()):
            engine.remove(left)
        engine.create(name, payload)

    def put() -> None:
        engine.put(engine.get(name), {f"{_PLACE}/{path.lstrip('/')}": file for path, file in _stored(change.files).items()})

    return create, put, lambda: engine.remove(engine.get(name))


def _pull(world: World, change: PullImage) -> Calls:
    repository, _, written = split(change.reference)
    digest = written or change.digest
    fetched = f"{repository}@{digest}" if digest else change.reference

    def fetch() -> None:
        if world.registry.hangs(change.reference):
            world.clock.advance(PULL_SECONDS)
        world.engine.images.add(fetched, world.registry.resolve(change.reference, digest))
        world.journal.note("image", "pull", fetched, fetched)

    def tag() -> None:
        world.engine.images.add(change.reference, world.engine.images.get(fetched))

    return (fetch, tag) if digest and not written else (fetch,)


def _stored(files: tuple[ContentFile, ...]) -> dict[str, StoredFile]:
    return {file.target: StoredFile(file.content, file.mode & 0o7777, file.uid, file.gid) for file in files}


def _unless_gone(call: Call) -> Call:
    """What is to be removed and is gone already is as wanted."""

    def unless_gone() -> None:
        try:
            call()
        except EngineError as error:
            if error.status != 404:
                raise

    return unless_gone


def _done(_: object) -> None:
    """Drop what a call returns: a change answers nothing."""
