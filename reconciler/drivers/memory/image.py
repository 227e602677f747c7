"""Which images are there, and how does a container of each behave?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.drivers.memory.refusal import EngineError

_HUB = "docker.io/"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the process in a container of an image does. Times in seconds after its start.

    exits, after      ends by itself with this code after that long; None: runs until it is stopped
    health_after      its healthcheck passes from then on; None: at the first probe
    never_healthy     its healthcheck never passes
    unhealthy_after   its healthcheck fails from then on
    ignores_term      only SIGKILL ends it
    bad_command       the engine cannot even start it
    failing_hooks     commands that exit 1 when they are run inside it, their words joined with blanks
    logs              lines it writes when it starts
    """

    exits: int | None = None
    after: float = 0.0
    health_after: float | None = None
    never_healthy: bool = False
    unhealthy_after: float | None = None
    ignores_term: bool = False
    bad_command: bool = False
    failing_hooks: tuple[str, ...] = ()
    logs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """An image's content: `config` is the engine's image Config, `digest` what a registry calls it ("" for a local build).

    commands  how other commands behave than the image's own, by their words joined with blanks
    """

    id: str
    config: Mapping[str, Any]
    behaviour: Behaviour
    created: datetime
    digest: str = ""
    commands: Mapping[str, Behaviour] = field(default_factory=dict)

    def behaviour_of(self, command: Iterable[str]) -> Behaviour:
        """Say how a container behaves that runs the command."""
        return self.commands.get(" ".join(command), self.behaviour)


@dataclass(slots=True)
class ImageStore:
    """The engine's local images: by tag as people write it, and by repository and digest."""

    by_tag: dict[str, Image] = field(default_factory=dict)
    by_digest: dict[str, Image] = field(default_factory=dict)

    def find(self, reference: str) -> Image | None:
        """Return the image a reference names: an id, a tag (`:latest` when it says none), or a repository and digest."""
        if reference.startswith("sha256:"):
            return next((image for image in self.all() if image.id.startswith(reference)), None)
        repository, tag, digest = split(reference)
        return self.by_digest.get(f"{repository}@{digest}") if digest else self.by_tag.get(f"{repository}:{tag}")

    def get(self, reference: str) -> Image:
        """Return the image a reference names. Raises EngineError when it is not here."""
        image = self.find(reference)
        if image is None:
            repository, tag, digest = split(reference)
            raise EngineError(404, f"No such image: {repository}{f'@{digest}' if digest else f':{tag}'}")
        return image

    def add(self, reference: str, image: Image) -> None:
        """Make an image local under a reference; a tag moves to it."""
        repository, tag, digest = split(reference)
        if not digest:
            self.by_tag[f"{repository}:{tag}"] = image
        if image.digest:
            self.by_digest[f"{repository}@{image.digest}"] = image

    def tags(self, image: Image) -> tuple[str, ...]:
        return tuple(sorted(tag for tag, found in self.by_tag.items() if found.id == image.id))

    def digests(self, image: Image) -> tuple[str, ...]:
        return tuple(sorted(digest for digest, found in self.by_digest.items() if found.id == image.id))

    def remove(self, reference: str, users: tuple[str, ...]) -> None:
        """Take a name from an image, and with the last tag the image itself. Raises EngineError while `users` (ids) have it."""
        image = self.get(reference)
        repository, tag, digest = split(reference)
        kept = [name for name in self.tags(image) if digest or name != f"{repository}:{tag}"]
        if users and not kept:
            using = f"container {users[0][:12]} is using its referenced image {image.id[7:19]}"
            raise EngineError(409, f'conflict: unable to remove repository reference "{reference}" (must force) - {using}')
        self.by_tag = {name: found for name, found in self.by_tag.items() if found.id != image.id or name in kept}
        if not kept:
            self.by_digest = {name: found for name, found in self.by_digest.items() if found.id != image.id}

    def all(self) -> tuple[Image, ...]:
        """Return every image once."""
        found = {image.id: image for image in (*self.by_tag.values(), *self.by_digest.values())}
        return tuple(found[key] for key in sorted(found))


def split(reference: str) -> tuple[str, str, str]:
    """Return repository, tag ("latest" when none is written) and digest ("" when none is), in Docker's short form."""
    name, _, digest = reference.partition("@")
    name = name.removeprefix(_HUB).removeprefix("library/")
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    return (name, "latest", digest) if colon < 0 else (name[:colon], name[colon + 1 :], digest)


def make_id(*parts: object) -> str:
    """Return 64 hexadecimal digits that depend on the parts alone."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
