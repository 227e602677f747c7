"""What does the operator's file say?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.excerpt import suggest
from reconciler.load.node import marks as marks_of
from reconciler.load.node import plain
from reconciler.load.places import Marks, problem_at
from reconciler.load.scalars import render
from reconciler.load.terms import AbsolutePath, Flag, Name, Value, http_url
from reconciler.load.written import Codes, Written, read, refused
from reconciler.load.yaml import parse
from reconciler.model.catalog import NAME
from reconciler.model.policy import EXCEPTIONS, Policy, Preset, is_exception
from reconciler.settings import GATEWAY_IMAGE, ConsulAccess, GitAccess, Operator, RegistryAccess, RegistryFaces

CODES = Codes(unknown_key="R110", wrong_kind="R111", missing_key="R112", refused_value="R113")

_LISTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]*):(?P<port>\d{1,5})")
_HOLDER = re.compile(r"[^/\s]+(?:/[^/\s]+)?")


def _listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise refused("expected an address and a port", "such as 127.0.0.1:8470")
    return text


def _ip_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise refused("expected an IP address", "such as 192.0.2.10") from None


def _holder(text: str) -> str:
    if not _HOLDER.fullmatch(text):
        raise refused("expected STACK/SERVICE, or STACK for its networks and volumes", "such as edge/traefik")
    return text


def _exception(text: str) -> str:
    if not is_exception(text):
        raise refused("there is no such exception", suggest(text, EXCEPTIONS) or f"known are cap:NAME, {', '.join(EXCEPTIONS)}")
    return text


Holder = Annotated[str, AfterValidator(_holder)]
Exemption = Annotated[str, AfterValidator(_exception)]


def _preset(value: object) -> object:
    return {"preset": value} if isinstance(value, str) else value


class PolicyEntry(Written):
    """What the repository may ask of the host."""

    preset: Literal["open", "standard", "strict"] = "standard"
    """`open` refuses nothing, `standard` what amounts to root on the host, `strict` all that is not allowed."""
    bind_roots: tuple[AbsolutePath, ...] = ()
    """`strict`: directories of the host that may be bound, with everything below them."""
    registries: tuple[str, ...] = ()
    """`strict`: image registries that images may come from."""
    digests: Flag = True
    """`strict`: every image must be pinned by digest."""


class GitEntry(Written):
    """Where the secrets for the Git remote are kept."""

    token_file: AbsolutePath | None = None
    """File that holds an access token for https."""
    token_env: str | None = None
    """Environment variable that holds it instead."""
    username: str = "git"
    """Sent with the token; empty sends it as a bearer token."""
    ssh_key: AbsolutePath | None = None
    """Private key file for ssh."""
    known_hosts: AbsolutePath | None = None
    """File of the hosts that ssh trusts."""
    ca_bundle: AbsolutePath | None = None
    """Certificates to trust instead of the system's."""
    signing_key: AbsolutePath | None = None
    """OpenSSH private key, without a passphrase, that commits of ours are signed with."""

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token_file and self.token_env:
            raise refused("token_file and token_env both say where the token is", "keep one of them")
        return self


class RegistryEntry(Written):
    """How to sign in to an image registry."""

    username: str
    """Name to sign in with."""
    password_file: AbsolutePath | None = None
    """File that holds the password."""
    password_env: str | None = None
    """Environment variable that holds it instead."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if bool(self.password_file) == bool(self.password_env):
            raise refused("say where the password is", "either password_file or password_env")
        return self


class ConsulEntry(Written):
    """How to sign in to a Consul that reconciler.yaml may name as `registry`."""

    token_file: AbsolutePath | None = None
    """File that holds the token."""
    token_env: str | None = None
    """Environment variable that holds it instead."""

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token_file and self.token_env:
            raise refused("token_file and token_env both say where the token is", "keep one of them")
        return self


class Credentials(Written):
    """Secrets of the Git remote, of image registries and of service registries."""

    git: GitEntry = GitEntry()
    registries: dict[str, RegistryEntry] = Field(default_factory=dict)
    """By host name, such as `registry.example.org:5000`."""
    consul: dict[Annotated[str, AfterValidator(http_url)], ConsulEntry] = Field(default_factory=dict)
    """By URL, such as `http://127.0.0.1:8500`; no other Consul is spoken to."""


def _node(text: str) -> str:
    if not NAME.fullmatch(text):
        raise refused("expected letters, digits and `_.-`", "such as host-1")
    return text


class RegistryFacesEntry(Written):
    """Where the service registry that is built in answers; each face is off until its address is given."""

    http: Annotated[str, AfterValidator(_listen)] | None = None
    """Address and port of the HTTP API for clients of Consul."""
    sd: Annotated[str, AfterValidator(_listen)] | None = None
    """Address and port of the HTTP service discovery of Prometheus."""
    dns: Annotated[str, AfterValidator(_listen)] | None = None
    """Address and port of the DNS server, over UDP and TCP."""
    token_file: AbsolutePath | None = None
    """File that holds the token with which programs may register themselves; without it nobody may."""
    node: Annotated[str, AfterValidator(_node)] | None = None
    """What this machine is called; default: its host name."""
    address: Annotated[str, AfterValidator(_ip_address)] = "127.0.0.1"
    """Where others reach this machine; entries on the host's ports carry it."""
    nameservers: tuple[Annotated[str, AfterValidator(_ip_address)], ...] = ()
    """Whom containers with `resolve: true` ask for names that are not the registry's."""


class OperatorFile(Written):
    """operator.yaml: it belongs to whoever runs the reconciler, never to the deployed repository."""

    policy: Annotated[PolicyEntry, BeforeValidator(_preset)] = PolicyEntry()
    """A preset (`open`, `standard`, `strict`), or a preset with its allow-lists."""
    allow: dict[Holder, tuple[Exemption, ...]] = Field(default_factory=dict)
    """Exceptions from the policy by STACK/SERVICE, or by STACK for its networks and volumes, such as `[engine-socket]`."""
    environment: dict[Name, dict[str, Value]] = Field(default_factory=dict)
    """Variables for interpolation and for secrets, by stack."""
    credentials: Credentials = Credentials()
    gateway_image: str = GATEWAY_IMAGE
    """Image of the gateway."""
    listen: Annotated[str, AfterValidator(_listen)] | None = None
    """Address and port of the HTTP API."""
    registry: RegistryFacesEntry = RegistryFacesEntry()


def read_operator(data: bytes, path: str) -> Operator:
    """Read the operator's file. Raises InvalidState with all its mistakes; no message holds a value."""
    documents = parse(data, path)
    if len(documents) > 1:
        raise InvalidState([Problem("R111", f"expected one YAML document, found {len(documents)}", Mark(path))])
    document: Any = plain(documents[0]) if documents else {}
    places = dict(marks_of(documents[0])) if documents else {}
    file = read(OperatorFile, document, places, (), CODES)
    problems = tuple(_unset(file, places))
    if problems:
        raise InvalidState(problems)
    return Operator(
        policy=_policy(file),
        environment={stack: _rendered(variables) for stack, variables in file.environment.items()},
        git=_git(file.credentials.git),
        registries={host: _registry(entry) for host, entry in file.credentials.registries.items()},
        consuls={url: _consul(entry) for url, entry in file.credentials.consul.items()},
        gateway_image=file.gateway_image,
        listen=file.listen or "",
        registry=_faces(file.registry),
    )


def _unset(file: OperatorFile, places: Marks) -> Iterator[Problem]:
    """Refuse variables without a value: nothing is ever taken from our own environment."""
    for stack, variables in file.environment.items():
        for name, value in variables.items():
            if value is None:
                yield problem_at(
                    "R113", f"{name} has no value", places, ("environment", stack, name), 'write "" for an empty one'
                )


def _policy(file: OperatorFile) -> Policy:
    entry = file.policy
    return Policy(
        preset=Preset(entry.preset),
        allow={service: frozenset(names) for service, names in file.allow.items()},
        bind_roots=tuple(entry.bind_roots),
        registries=tuple(entry.registries),
        digests=entry.digests,
    )


def _rendered(variables: Mapping[str, Any]) -> dict[str, str]:
    return {name: render(value) for name, value in variables.items()}


def _git(entry: GitEntry) -> GitAccess:
    return GitAccess(
        token_file=_file(entry.token_file),
        token_variable=entry.token_env or "",
        username=entry.username,
        ssh_key=_file(entry.ssh_key),
        known_hosts=_file(entry.known_hosts),
        ca_bundle=_file(entry.ca_bundle),
        signing_key=_file(entry.signing_key),
    )


def _faces(entry: RegistryFacesEntry) -> RegistryFaces:
    return RegistryFaces(
        http=entry.http or "",
        sd=entry.sd or "",
        dns=entry.dns or "",
        token_file=_file(entry.token_file),
        node=entry.node or "",
        address=entry.address,
        nameservers=entry.nameservers,
    )


def _registry(entry: RegistryEntry) -> RegistryAccess:
    return RegistryAccess(entry.username, _file(entry.password_file), entry.password_env or "")


def _consul(entry: ConsulEntry) -> ConsulAccess:
    return ConsulAccess(_file(entry.token_file), entry.token_env or "")


def _file(path: str | None) -> Path | None:
    return Path(path) if path else None
