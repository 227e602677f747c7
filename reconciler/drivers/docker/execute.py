"""How is a program run in a container?"""

from __future__ import annotations

import time
from collections.abc import Mapping

from reconciler.drivers.docker.connection import BROKEN, Connection, path_of, unreachable
from reconciler.drivers.docker.streams import frames
from reconciler.errors import Unreachable


def execute(
    connection: Connection, container: str, payload: Mapping[str, object], *, seconds: float, most_bytes: int
) -> tuple[int, bytes]:
    """Run it to its end; return its exit code and the end of what it wrote. Raises Unreachable when it takes longer."""
    wanted = {**payload, "AttachStdout": True, "AttachStderr": True}
    id = connection.post(path_of("/containers/{}/exec", container), wanted)["Id"]
    said = _output(connection, id, seconds, most_bytes)
    return connection.get(path_of("/exec/{}/json", id))["ExitCode"] or 0, said


def _output(connection: Connection, id: str, seconds: float, most_bytes: int) -> bytes:
    deadline = time.monotonic() + seconds
    said = b""
    path = path_of("/exec/{}/start", id)
    with connection.ask("POST", path, body={"Detach": False, "Tty": False}, seconds=seconds, stream=True) as answer:
        try:
            for _, piece in frames(answer):
                said = (said + piece)[-most_bytes:]
                if time.monotonic() > deadline:
                    raise Unreachable(f"a program in a container still runs after {seconds:g} s")
        except BROKEN as error:
            raise unreachable(connection.host, error) from error
    return said
