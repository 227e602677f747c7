"""How do files get into a container that never ran, and what stands there later?"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import IO, Any, cast

import requests

from reconciler.drivers.docker.connection import BROKEN, Connection, path_of, unreachable
from reconciler.drivers.docker.errors import Rejected
from reconciler.model.content import file_header
from reconciler.model.desired import ContentFile
from reconciler.model.plan import DeliverFiles, FillVolume

LARGEST_BYTES = 64 * 1024 * 1024
"""No larger file is ever delivered, so a larger one in a container is not ours and is not read."""

BLOCK_BYTES = 1 << 20

PLACE = "/content"
"""Where the helper container mounts the volume it fills."""


def deliver(connection: Connection, change: DeliverFiles) -> None:
    """Put all files in one call. Directories on the way are made (0755, root); those that stand there stay as they are."""
    put(connection, change.target.handle, "/", change.files)


def fill(connection: Connection, change: FillVolume) -> None:
    """Put files into a volume through a container that mounts it and never starts; targets count from its root."""
    helper = _helper(connection, change)
    try:
        put(connection, helper, change.beside or PLACE, change.files)
    finally:
        connection.delete(path_of("/containers/{}", helper), force=True)


def put(connection: Connection, container: str, directory: str, files: Iterable[ContentFile]) -> None:
    """Put files into a directory of a container, running or not; their targets count from there."""
    # Without the flag the engine would replace a directory of the image by a file of the same name.
    query = {"path": directory, "noOverwriteDirNonDir": True}
    kind = {"Content-Type": "application/x-tar"}
    path = path_of("/containers/{}/archive", container)
    connection.ask("PUT", path, query=query, content=archive(files), headers=kind).close()


def digest_of(connection: Connection, container: str, path: str) -> str | None:
    """Return the content digest (model/content.py) of a regular file in a container, None where there is none.

    For a file larger than anything ever delivered it is a text that equals no digest.
    """
    try:
        answer = connection.ask("GET", path_of("/containers/{}/archive", container), query={"path": path}, stream=True)
    except Rejected as rejected:
        if rejected.status == 404 or "not a directory" in rejected.text:
            return None
        raise
    with answer:
        size = _said_size(answer)
        return f"larger than {LARGEST_BYTES} bytes" if size > LARGEST_BYTES else _hash(connection, answer)


def archive(files: Iterable[ContentFile]) -> bytes:
    """Return a tar of the files, sorted by target and without time stamps: equal files make equal bytes."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(files, key=lambda one: one.target):
            member = tarfile.TarInfo(file.target.lstrip("/"))
            member.size, member.mode, member.uid, member.gid = len(file.content), file.mode & 0o7777, file.uid, file.gid
            tar.addfile(member, BytesIO(file.content))
    return buffer.getvalue()


def _helper(connection: Connection, change: FillVolume) -> str:
    """Create the helper, in the place of one that a killed process left behind."""
    name = f"{change.volume}-fill"
    try:
        return _create_helper(connection, name, change)
    except Rejected as rejected:
        if rejected.status != 409 or not _is_leftover(connection, name, change):
            raise
    connection.delete(path_of("/containers/{}", name), force=True)
    return _create_helper(connection, name, change)


def _create_helper(connection: Connection, name: str, change: FillVolume) -> str:
    # The engine copies the image's files at a mount's target into a volume that is empty, unless it is told not to.
    options = {"NoCopy": not change.beside}
    mount = {"Type": "volume", "Source": change.volume, "Target": change.beside or PLACE, "VolumeOptions": options}
    payload = {
        "Image": change.image,
        "Entrypoint": ["never-started"],
        "Labels": dict(change.labels),
        "NetworkDisabled": True,
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }
    return str(connection.post("/containers/create", payload, name=name)["Id"])


def _is_leftover(connection: Connection, name: str, change: FillVolume) -> bool:
    found: Mapping[str, Any] = connection.get(path_of("/containers/{}/json", name))
    marks = found["Config"].get("Labels") or {}
    return found["State"]["Status"] == "created" and all(marks.get(key) == value for key, value in change.labels.items())


def _said_size(answer: requests.Response) -> int:
    about = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return int(about["size"])


def _hash(connection: Connection, answer: requests.Response) -> str | None:
    try:
        with tarfile.open(fileobj=cast(IO[bytes], answer.raw), mode="r|") as tar:
            member = tar.next()
            content = tar.extractfile(member) if member and member.isreg() else None
            if member is None or content is None:
                return None
            digest = hashlib.sha256(file_header(member.mode, member.uid, member.gid))
            while block := content.read(BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest()
    except (*BROKEN, tarfile.TarError) as error:
        raise unreachable(connection.host, error) from error
