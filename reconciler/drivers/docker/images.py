"""Which image does a reference name, here and at its registry, and how does it come here?"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests
from docker import auth
from docker.errors import DockerException

from reconciler.drivers.docker.connection import BROKEN, Connection, document, path_of, side_by_side, unreachable
from reconciler.drivers.docker.errors import Rejected, one_line
from reconciler.drivers.docker.hearing import IMAGE, News
from reconciler.drivers.docker.observe import moment
from reconciler.errors import ReconcilerError, Refused
from reconciler.model.observed import ObservedImage
from reconciler.model.plan import PullImage, RemoveImage
from reconciler.settings import RegistryAccess

REGISTRY_SECONDS = 15.0
"""How long an image registry may take to name a digest: a plan waits for it."""

PULL_PATIENCE = 2
"""A pull may show no progress for so many times the usual deadline."""


@dataclass
class LocalImages:
    """The images that the engine has under names. As long as looks follow events, those that no event told of are known."""

    connection: Connection
    _known: dict[str, ObservedImage | None] = field(default_factory=dict)
    _following: bool = False

    def looked(self, followed: News | None) -> None:
        """The engine was looked at, by word of events or (None) anew."""
        self._following = followed is not None
        if followed is None or IMAGE in followed.kinds:
            self._known = {}

    def find(self, references: Iterable[str]) -> dict[str, ObservedImage | None]:
        """Return the image that each reference names, None for one that is not there."""
        wanted = tuple(references)
        asked = [name for name in wanted if not (self._following and name in self._known)]
        found = side_by_side(lambda name: local_image(self.connection, name), asked)
        self._known |= zip(asked, found, strict=True)
        return {name: self._known[name] for name in wanted}


def local_image(connection: Connection, reference: str) -> ObservedImage | None:
    """Return the image a reference names on the engine, or None."""
    try:
        found = connection.get(path_of("/images/{}/json", reference))
    except Rejected as rejected:
        if rejected.status == 404:
            return None
        raise
    return ObservedImage(
        id=found["Id"],
        tags=tuple(found.get("RepoTags") or ()),
        digests=tuple(found.get("RepoDigests") or ()),
        config=found.get("Config") or {},
        created=moment(found.get("Created")),
    )


def registry_digests(connection: Connection, references: list[str]) -> dict[str, str]:
    """Return the digest that the registry names for each reference, as far as it answers."""
    found = side_by_side(lambda reference: _registry_digest(connection, reference), references)
    return {reference: digest for reference, digest in zip(references, found, strict=True) if digest}


def pull(connection: Connection, change: PullImage) -> None:
    """Pull; by the plan's digest where it has one, and then named as Git names it, whatever the tag says by now."""
    repository, tag, written = split(change.reference)
    digest = written or change.digest
    _fetch(connection, repository, digest or tag or "latest", change.platform)
    if digest and not written:
        named = path_of("/images/{}/tag", f"{repository}@{digest}")
        connection.ask("POST", named, query={"repo": repository, "tag": tag or "latest"}).close()


def remove_image(connection: Connection, change: RemoveImage) -> None:
    """Take the reference away, and the image with its last one. An image that is gone already is as wanted."""
    try:
        connection.delete(path_of("/images/{}", change.reference))
    except Rejected as rejected:
        if rejected.status != 404:
            raise


def split(reference: str) -> tuple[str, str, str]:
    """Return repository, tag and digest of a reference; "" for what it does not name."""
    name, _, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    # A colon before the last slash belongs to the registry's port.
    return (repository, tag, digest) if colon and "/" not in tag else (name, "", digest)


def credentials(repository: str, logins: Mapping[str, RegistryAccess]) -> dict[str, str]:
    """Return the header that logs in at the repository's registry, {} where nobody knows how.

    The operator's logins win over the Docker config. Raises Refused when a password cannot be read, or when the config
    names a credential helper that does not work.
    """
    try:
        registry, _ = auth.resolve_repository_name(repository)
        if registry in logins:
            return _header(_login(registry, logins[registry]))
        known = auth.load_config()
        helper = f"docker-credential-{known.get_credential_store(registry) or ''}"
        if helper != "docker-credential-" and not shutil.which(helper):
            raise _no_credentials(repository, f"{helper} is not installed")
        found = auth.resolve_authconfig(known, registry)
    except DockerException as error:
        raise _no_credentials(repository, one_line(str(error))) from error
    return _header(found)


def _login(registry: str, access: RegistryAccess) -> dict[str, str]:
    if access.password_file is not None:
        try:
            password = access.password_file.read_text().strip()
        except OSError as error:
            message = f"the password for image registry {registry} cannot be read: {access.password_file}: {error.strerror}"
            raise Refused(message, hint="see credentials.registries in the operator's file") from error
    else:
        password = os.environ.get(access.password_variable, "")
    if not password:
        message = f"the password for image registry {registry} is empty"
        raise Refused(message, hint="see credentials.registries in the operator's file")
    return {"username": access.username, "password": password, "serveraddress": registry}


def _header(login: Mapping[str, str] | None) -> dict[str, str]:
    return {"X-Registry-Auth": auth.encode_header(login).decode()} if login else {}


def _no_credentials(repository: str, reason: str) -> Refused:
    hint = "the credential helper that the Docker config names must be installed, and work, here"
    return Refused(f"no credentials for the registry of {repository}: {reason}", hint=hint)


def _registry_digest(connection: Connection, reference: str) -> str:
    repository, _, written = split(reference)
    if written:
        return written
    # A registry that does not answer is no news: the caller is told nothing about this reference.
    with suppress(Rejected, ReconcilerError):
        path = path_of("/distribution/{}/json", reference)
        answer = connection.ask("GET", path, headers=credentials(repository, connection.logins), seconds=_patience(connection))
        return str(document(answer)["Descriptor"]["digest"])
    return ""


def _patience(connection: Connection) -> float:
    return min(REGISTRY_SECONDS, connection.timeout_seconds)


def _fetch(connection: Connection, repository: str, version: str, platform: str) -> None:
    answer = connection.ask(
        "POST",
        "/images/create",
        query={"fromImage": repository, "tag": version, "platform": platform or None},
        headers=credentials(repository, connection.logins),
        seconds=PULL_PATIENCE * connection.timeout_seconds,
        stream=True,
    )
    with answer:
        for progress in _progress(connection, answer):
            if problem := progress.get("errorDetail") or progress.get("error"):
                # The answer began with 200 long ago; what went wrong since stands in the stream.
                raise Rejected(500, str(problem.get("message") if isinstance(problem, Mapping) else problem))


def _progress(connection: Connection, answer: requests.Response) -> Iterator[Mapping[str, Any]]:
    try:
        for line in answer.iter_lines():
            if line:
                yield json.loads(line)
    except BROKEN as error:
        raise unreachable(connection.host, error) from error
