"""What do clients lose when docker compose makes the same changes?

Two ways in which people run it: one replica that publishes its port, and replicas behind an HAProxy of one's own, which
finds them by Docker's DNS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from answering import HTTP
from waiting import free_port, until

from benchmarks.places import Compose, Failed
from benchmarks.scene import DEADLINE_SECONDS, NEW, Web, answers, publishes

BEFORE_UNDOING_SECONDS = 5.0
"""How long a person takes to see that a version is broken, and to bring the old one back."""

_HAPROXY = f"""
defaults
    mode http
    timeout connect 2s
    timeout client 1m
    timeout server 1m
    retries 3
    option redispatch 1
resolvers docker
    nameserver dns 127.0.0.11:53
    hold valid 1s
frontend web
    bind :{HTTP}
    default_backend web
backend web
    option httpchk GET /
    server-template web 8 web:{HTTP} check inter 1s resolvers docker init-addr none
"""


@dataclass(frozen=True, slots=True)
class Composed:
    """A project of docker compose's, and whether an HAProxy stands before it."""

    compose: Compose
    port: int
    behind: bool

    def up(self, web: Web, *words: str) -> None:
        """Write down what is wanted, and have it brought about."""
        written = web.written("web") + self._haproxy() if self.behind else web.written("web", publishes(self.port))
        self.compose.file.write_text(f"services:\n{written}")
        self.compose.run("up", "--detach", "--wait", *words)

    def down(self) -> None:
        self.compose.run("down", "--volumes", "--timeout", "1")

    def _haproxy(self) -> str:
        config = self.compose.file.with_name("haproxy.cfg")
        config.write_text(_HAPROXY)
        return f"""  gateway:
    image: {NEW}
    command: [haproxy, -db, -f, /haproxy.cfg]
    volumes: ["{config}:/haproxy.cfg:ro"]
    ports: ["{self.port}:{HTTP}"]
"""


@contextmanager
def composed(root: Path, project: str, web: Web, *, behind: bool) -> Iterator[Composed | None]:
    """Have a project that serves for the block; None where this machine has no docker compose."""
    compose = Compose.find(root / "compose.yaml", project)
    if compose is None:
        yield None
        return
    found = Composed(compose, free_port(""), behind)
    try:
        found.up(web)
        until(lambda: answers(found.port), "nobody answers", DEADLINE_SECONDS)
        yield found
    finally:
        found.down()


# --- the same changes ----------------------------------------------------------------------------------------------------


def _update(project: Composed, before: Web) -> None:
    project.up(replace(before, version=2))


def _broken(project: Composed, before: Web) -> None:
    with suppress(Failed):
        project.up(replace(before, version=2, command='[sh, -c, "exit 3"]'))
    time.sleep(BEFORE_UNDOING_SECONDS)
    project.up(before)


def _scaled(project: Composed, before: Web) -> None:
    project.up(replace(before, replicas=4))
    project.up(before)


COMPOSED: Mapping[str, Callable[[Composed, Web], None]] = {
    "rolling update": _update,
    "a broken version": _broken,
    "scaled up and down": _scaled,
}
"""By the name of our case: what has no like there is left out."""
