"""Where does a reconciler look after itself: in a container on a real engine, as a service of the repository it deploys?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from surroundings import Remote, build_image
from waiting import until

from reconciler.drivers.docker import connect
from reconciler.model import labels
from reconciler.plan.keeper import keeper_of

USER = 10001
DEADLINE_SECONDS = 240.0

COMPOSE_YAML = """\
name: {environment}
services:
  self:
    image: {environment}:{version}
    restart: unless-stopped
    environment: {{RECONCILER_SOURCE: /srv/repository, RECONCILER_LISTEN: "127.0.0.1:8470", DOCKER_HOST: "{host}"}}
    volumes: ["{repository}:/srv/repository:ro", "state:/var/lib/reconciler"{mounts}]
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    healthcheck: {{test: [CMD, reconciler, health], interval: 1s, timeout: 30s, retries: 30}}
  web:
    image: {web}
    command: [sleep, "600"]
    init: true
volumes:
  state:
"""


@dataclass(frozen=True, slots=True)
class Self:
    """A container of the reconciler's service, as the engine tells of it."""

    id: str
    name: str
    image: str
    running: bool


@dataclass(frozen=True, slots=True)
class House:
    """An engine, and the repository of a reconciler in a container on it, and of another service.

    repository  the bare repository's directory
    host        where the container finds its engine, as DOCKER_HOST says it; `mounts` are what it needs for that
    """

    environment: str
    engine: docker.APIClient
    remote: Remote
    host: str
    mounts: tuple[str, ...] = ()

    def push(self, version: str, web: str) -> None:
        """Commit and push a version. git works only in what its own user owns, be it ours or the container's."""
        mounts = "".join(f', "{mount}"' for mount in self.mounts)
        said = {"environment": self.environment, "repository": self.remote.url, "host": self.host, "mounts": mounts}
        own = f"api: v1\nname: {self.environment}\ninterval: 2s\nstacks: {{ops: {{path: ops}}}}\n"
        self._give_to(os.geteuid())
        compose = COMPOSE_YAML.format(version=version, web=web, **said)
        self.remote.push({"reconciler.yaml": own, "ops/compose.yaml": compose}, f"version {version}")
        self._give_to(USER)

    def _give_to(self, user: int) -> None:
        for path in [Path(self.remote.url), *Path(self.remote.url).rglob("*")]:
            os.chown(path, user, user)

    def selves(self) -> list[Self]:
        """Return the reconcilers' containers, oldest first."""
        marks = {"label": [f"{labels.ENVIRONMENT}={self.environment}", f"{labels.SERVICE}=self"]}
        rows = sorted(self.engine.containers(all=True, filters=marks), key=lambda row: row["Created"])
        return [Self(row["Id"], row["Names"][0].lstrip("/"), row["Image"], row["State"] == "running") for row in rows]

    def runs(self, version: str) -> bool:
        """Say whether there is one reconciler, of this version, at work under its own name."""
        seen = [(one.name, one.image, one.running) for one in self.selves()]
        wanted = [(f"{self.environment}-self-1", f"{self.environment}:{version}", True)]
        return seen == wanted and keeper_of(connect().observe(self.environment), self.environment) == self.selves()[0].id

    def log(self, one: Self) -> str:
        """Return what a reconciler wrote."""
        return self.engine.logs(one.id).decode()

    def until(self, met: Callable[[], bool]) -> None:
        """Look on until something holds."""
        until(met, lambda: "\n".join([str(self.selves()), *map(self.log, self.selves())]), DEADLINE_SECONDS)


@contextmanager
def versions(engine: docker.APIClient, environment: str, image: str) -> Iterator[None]:
    """Have versions 1 and 2 of an image, and one that is broken."""
    recipes = {"1": "LABEL version=1", "2": "LABEL version=2", "broken": 'ENTRYPOINT ["false"]'}
    for version, line in recipes.items():
        build_image(engine, f"{environment}:{version}", f"FROM {image}\n{line}\n")
    yield
    for version in recipes:
        engine.remove_image(f"{environment}:{version}", force=True)
