"""What does the image registry hold, and how does it answer?"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.drivers.memory.image import Image, split
from reconciler.drivers.memory.refusal import EngineError

PULL_SECONDS = 120.0
"""How long a pull that hangs is waited for."""


class Trouble(StrEnum):
    """How a registry fails for a repository and tag."""

    MISSING = "404"
    DENIED = "401"
    LIMITED = "429"
    BROKEN = "500"
    HANGS = "hang"


_WORDS = {
    Trouble.MISSING: "manifest for {0} not found: manifest unknown: manifest unknown",
    Trouble.DENIED: "pull access denied for {0}, repository does not exist or may require 'docker login': denied",
    Trouble.LIMITED: "toomanyrequests: You have reached your pull rate limit",
    Trouble.BROKEN: "received unexpected HTTP status: 500 Internal Server Error",
    Trouble.HANGS: "Get {0}: context deadline exceeded",
}


@dataclass(slots=True)
class Registry:
    """Every registry of the world in one: tags that move, digests that stay."""

    tags: dict[str, Image] = field(default_factory=dict)
    manifests: dict[str, Image] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)

    def publish(self, reference: str, image: Image) -> None:
        """Let a tag name an image; what it named before stays there by its digest."""
        repository, tag, _ = split(reference)
        self.tags[f"{repository}:{tag}"] = image
        self.manifests[f"{repository}@{image.digest}"] = image

    def fail(self, reference: str, trouble: Trouble | None) -> None:
        """Let every request for a tag (or its digests) fail, or be answered again with None."""
        repository, tag, _ = split(reference)
        self.troubles.pop(f"{repository}:{tag}", None)
        if trouble:
            self.troubles[f"{repository}:{tag}"] = trouble

    def resolve(self, reference: str, digest: str = "") -> Image:
        """Return what a reference names now, or its digest if one is given. Raises EngineError as the engine passes it on."""
        repository, tag, written = split(reference)
        trouble = self.troubles.get(f"{repository}:{tag}")
        found = (
            self.manifests.get(f"{repository}@{written or digest}")
            if written or digest
            else self.tags.get(f"{repository}:{tag}")
        )
        if trouble or not found:
            trouble = trouble or Trouble.MISSING
            raise EngineError(404 if trouble in (Trouble.MISSING, Trouble.DENIED) else 500, _WORDS[trouble].format(reference))
        return found

    def hangs(self, reference: str) -> bool:
        repository, tag, _ = split(reference)
        return self.troubles.get(f"{repository}:{tag}") is Trouble.HANGS
