"""Does this process run in a container of this very engine?"""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.drivers.docker.connection import Connection, path_of
from reconciler.drivers.docker.errors import Rejected

# With cgroup v1 the control group names the container; with v2 only the files the engine mounts into it do.
WITNESSES = (Path("/proc/self/cgroup"), Path("/proc/self/mountinfo"))
NAMED = re.compile(r"(?:docker[/-]|/containers/)([0-9a-f]{64})\b")


def own_container(connection: Connection) -> str:
    """Return the id of the container this process runs in, "" when it runs in none of this engine's."""
    for id in _candidates():
        try:
            return str(connection.get(path_of("/containers/{}/json", id))["Id"])
        except Rejected as rejected:
            if rejected.status != 404:
                raise
    return ""


def containers_named(text: str) -> list[str]:
    """Return the container ids that control groups or mounts name, each once, in their order."""
    return list(dict.fromkeys(NAMED.findall(text)))


def _candidates() -> list[str]:
    # On the host itself the same files name every container there is.
    if not Path("/.dockerenv").exists():
        return []
    return containers_named("".join(witness.read_text(errors="replace") for witness in WITNESSES if witness.exists()))
