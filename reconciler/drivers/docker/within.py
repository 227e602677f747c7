"""How are a gateway's sockets, files and programs reached, on this host or on another one?

Where this process sees the volume itself (it is mounted here as well, or this is the engine's host), files and sockets are
opened as they are. Elsewhere the engine carries everything: files as archives, and what is said to a socket through a
program that is run in the container.
"""

from __future__ import annotations

import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from reconciler.drivers.docker.connection import Connection, path_of
from reconciler.drivers.docker.content import put
from reconciler.drivers.docker.errors import Rejected, one_line, translated
from reconciler.drivers.docker.execute import execute
from reconciler.drivers.docker.inside import own_container
from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.model.desired import ContentFile
from reconciler.model.gateway_container import home
from reconciler.model.traffic import DIRECTORY

ANSWER_SECONDS = 10
RUN_SECONDS = 60.0

LARGEST_BYTES = 16 * 1024 * 1024
"""No file and no answer of a gateway is larger."""

_ABSENT, _UNABLE = 65, 66

# Debian's image, which HAProxy's official one is made of, always has perl; others may have one of the other two.
_SPEAK = f"""
if command -v perl >/dev/null; then
  exec perl -MSocket -e '
    alarm {ANSWER_SECONDS};
    socket(S, AF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un($ARGV[0])) or exit {_ABSENT};
    syswrite(S, "$ARGV[1]\\n"); shutdown(S, 1);
    while (sysread(S, $piece, 65536)) {{ syswrite(STDOUT, $piece) }}' "$1" "$2"
elif command -v socat >/dev/null; then
  printf '%s\\n' "$2" | socat -t {ANSWER_SECONDS} - "UNIX-CONNECT:$1" || exit {_ABSENT}
elif nc -h 2>&1 | grep -q -e '-U'; then
  printf '%s\\n' "$2" | nc -w {ANSWER_SECONDS} -U "$1" || exit {_ABSENT}
else
  exit {_UNABLE}
fi
"""


class DockerInside:
    """The way into gateways' containers on a Docker engine. Safe to use from many threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._places: dict[str, Path] = {}
        self._own: str | None = None

    def id(self, container: str) -> str:
        """Return the id of a container that is known by its name. Raises Conflict when there is none."""
        with translated(f"look for {container}"):
            return str(self._inspect(container)["Id"])

    def tell(self, container: str, socket: str, line: str) -> str:
        """Say a line to a unix socket, and that there is no more; return all it answers.

        Raises Conflict when nobody listens there, Unreachable when who does is silent.
        """
        place = self._place(container)
        said = _ask(place, socket, line) if place else self._ask_through_engine(container, socket, line)
        return said.decode(errors="replace")

    def read(self, container: str, name: str) -> bytes | None:
        """Return a file, None when there is none."""
        place = self._place(container)
        if place is None:
            return self._download(container, name)
        try:
            with (place / name).open("rb") as file:
                return file.read(LARGEST_BYTES)
        except FileNotFoundError:
            return None

    def write(self, container: str, name: str, content: bytes) -> None:
        """Put a file there, at once and whole, readable for its owner alone."""
        place = self._place(container)
        if place is None:
            self._upload(container, name, content)
            return
        try:
            _replace(place / name, content)
        except OSError as error:
            raise Unreachable(f"{name} of the gateway cannot be written: {error.strerror}") from error

    def run(self, container: str, command: tuple[str, ...]) -> tuple[int, str]:
        """Run a program in the container; return its exit code and what it wrote."""
        code, said = self._execute(container, command, RUN_SECONDS)
        return code, said.decode(errors="replace")

    def _place(self, container: str) -> Path | None:
        """Return where this process sees the volume, None where it does not.

        Only what has the container's directory in it is the volume: another host has the same paths.
        """
        known = self._places.get(container)
        if known is None:
            with translated("look for the gateway's volume"):
                candidates = list(self._candidates(container))
            known = next((place for place in candidates if (place / home(container)).is_dir()), None)
        if known:
            self._places[container] = known
        return known

    def _candidates(self, container: str) -> Iterator[Path]:
        volume = _volume(self._inspect(container))
        if self._own is None:
            self._own = own_container(self._connection)
        if self._own:
            mounts = self._inspect(self._own)["Mounts"]
            yield from (Path(one["Destination"]) for one in mounts if one.get("Name") == volume["Name"])
        elif self._connection.host.startswith("unix://"):
            yield Path(volume["Source"])

    def _inspect(self, container: str) -> dict[str, Any]:
        return dict(self._connection.get(path_of("/containers/{}/json", container)))

    def _ask_through_engine(self, container: str, name: str, line: str) -> bytes:
        command = ("/bin/sh", "-c", _SPEAK, "sh", f"{DIRECTORY}/{name}", line)
        code, said = self._execute(container, command, ANSWER_SECONDS + 5.0)
        if code == _UNABLE:
            hint = "use HAProxy's official image, add socat to this one, or run reconciler on the engine's host"
            raise Refused(
                "nothing in the gateway's image can speak to its sockets: neither perl, nor socat, nor nc -U", hint=hint
            )
        if code == _ABSENT:
            raise Conflict(f"nobody listens at {name}")
        if code:
            raise Unreachable(f"the gateway does not answer at {name}")
        return said

    def _execute(self, container: str, command: tuple[str, ...], seconds: float) -> tuple[int, bytes]:
        with _running(f"run {command[0]} in the gateway"):
            payload = {"Cmd": list(command), "User": "0"}
            return execute(self._connection, container, payload, seconds=seconds, most_bytes=LARGEST_BYTES)

    def _download(self, container: str, name: str) -> bytes | None:
        path, query = path_of("/containers/{}/archive", container), {"path": f"{DIRECTORY}/{name}"}
        try:
            with translated(f"read {name} of the gateway"):
                archive = self._connection.ask("GET", path, query=query)
        except Conflict:
            return None
        with tarfile.open(fileobj=BytesIO(archive.content)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member and member.isreg() else None
            return content.read(LARGEST_BYTES) if content else None

    def _upload(self, container: str, name: str, content: bytes) -> None:
        """What is unpacked stands there bit by bit, so it gets its name when it is whole."""
        new = ContentFile(f"{name}.new", content, mode=0o600)
        with translated(f"write {name} of the gateway"):
            put(self._connection, container, DIRECTORY, (new,))
        code, said = self.run(container, ("/bin/sh", "-c", 'mv -f "$1.new" "$1"', "sh", f"{DIRECTORY}/{name}"))
        if code:
            raise Unreachable(f"{name} of the gateway cannot be written: {one_line(said)}")


def _volume(container: dict[str, Any]) -> dict[str, Any]:
    mounts = [dict(one) for one in container["Mounts"] if one["Destination"] == DIRECTORY and one["Type"] == "volume"]
    if not mounts:
        raise Conflict(f"{container['Name'].lstrip('/')} is no gateway: it mounts no volume at {DIRECTORY}")
    return mounts[0]


def _ask(place: Path, name: str, line: str) -> bytes:
    directory = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as speaker:
            speaker.settimeout(ANSWER_SECONDS)
            # A socket's path has room for 107 bytes, which the volume's own may fill.
            speaker.connect(f"/proc/self/fd/{directory}/{name}")
            speaker.sendall(line.encode() + b"\n")
            speaker.shutdown(socket.SHUT_WR)
            return _all(speaker)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Conflict(f"nobody listens at {name}") from error
    except OSError as error:
        raise Unreachable(f"the gateway does not answer at {name}: {error.strerror or error}") from error
    finally:
        os.close(directory)


def _all(speaker: socket.socket) -> bytes:
    said = bytearray()
    while len(said) < LARGEST_BYTES and (piece := speaker.recv(1 << 16)):
        said += piece
    return bytes(said)


def _replace(file: Path, content: bytes) -> None:
    descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        os.replace(new, file)
    except BaseException:
        os.unlink(new)
        raise


@contextmanager
def _running(doing: str) -> Iterator[None]:
    """A container that does not run runs nothing, and that is no conflict: it may run again."""
    try:
        yield
    except Rejected as rejected:
        raise Unreachable(f"{doing}: {one_line(rejected.text)}") from None
