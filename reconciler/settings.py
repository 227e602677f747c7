"""What did the person who runs this program decide: by command line, environment variables, and the operator's file?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from reconciler.errors import UsageError
from reconciler.model.catalog import NAME
from reconciler.model.policy import Policy

GATEWAY_IMAGE = "haproxy:3.2"
STATE = Path("/var/lib/reconciler")


@dataclass(frozen=True, slots=True)
class GitAccess:
    """Where the secrets for a Git remote are kept; never a secret itself.

    token_file, token_variable  a file or environment variable that holds an access token for https
    username                    sent with the token; "" sends it as a bearer token
    ssh_key, known_hosts        files for ssh
    ca_bundle                   certificates to trust instead of the system's
    signing_key                 an ssh key file that commits of ours are signed with
    allow_file, allow_http      whether addresses of these schemes may be used at all
    """

    token_file: Path | None = None
    token_variable: str = ""
    username: str = "git"
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ca_bundle: Path | None = None
    signing_key: Path | None = None
    allow_file: bool = False
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Where the password for an image registry is kept."""

    username: str
    password_file: Path | None = None
    password_variable: str = ""


@dataclass(frozen=True, slots=True)
class ConsulAccess:
    """A Consul that Git may name, and where the token for it is kept."""

    token_file: Path | None = None
    token_variable: str = ""


@dataclass(frozen=True, slots=True)
class RegistryFaces:
    """Where the service registry answers, each "" for nowhere, and what it says of this machine.

    http        address of the Consul-compatible API
    sd          address of Prometheus' HTTP service discovery
    dns         address of the DNS server, UDP and TCP
    token_file  holds the token with which programs may register themselves there, None: nobody may
    node        what this machine is called, "" for its host name
    address     where others reach it: entries on the host's ports carry it
    nameservers whom containers that ask the registry ask for all other names
    """

    http: str = ""
    sd: str = ""
    dns: str = ""
    token_file: Path | None = None
    node: str = ""
    address: str = "127.0.0.1"
    nameservers: tuple[str, ...] = ()

    @property
    def dns_for_containers(self) -> str:
        """The address at which containers reach the DNS server, "" for none: they ask port 53 only, and not themselves."""
        host, _, port = self.dns.rpartition(":")
        host = self.address if host in ("", "0.0.0.0", "[::]") else host.strip("[]")
        return host if port == "53" and not host.startswith("127.") and host != "::1" else ""

    @property
    def served(self) -> bool:
        """Somebody can ask."""
        return bool(self.http or self.sd or self.dns)


@dataclass(frozen=True, slots=True)
class Operator:
    """operator.yaml. The deployed repository may only narrow what it allows.

    environment  by stack: variables for interpolation, and for `secrets.<name>.environment`
    registries   of images, by host name
    consuls      by URL; no other one is ever spoken to
    listen       address of the HTTP API, "" for none
    registry     of services, as it is built in
    """

    policy: Policy = field(default_factory=Policy)
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    git: GitAccess = GitAccess()
    registries: Mapping[str, RegistryAccess] = field(default_factory=dict)
    consuls: Mapping[str, ConsulAccess] = field(default_factory=dict)
    gateway_image: str = GATEWAY_IMAGE
    listen: str = ""
    registry: RegistryFaces = RegistryFaces()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything decided outside the repository.

    source    directory or Git URL of the desired state; "" when none was named
    branch    of a Git source
    path      directory inside the source that holds reconciler.yaml
    state     directory for clones and the state database
    engine    address of the Docker engine; "" follows Docker's own conventions
    operator  its file, with Git access and listen address already overridden by what was said nearer
    """

    source: str = ""
    branch: str = "main"
    path: str = ""
    state: Path = STATE
    engine: str = ""
    operator: Operator = Operator()


# Each setting of one word: its option on the command line, and the environment variable behind it.
VARIABLES: Mapping[str, str] = {
    "source": "RECONCILER_SOURCE",
    "branch": "RECONCILER_BRANCH",
    "path": "RECONCILER_PATH",
    "state": "RECONCILER_STATE",
    "operator": "RECONCILER_OPERATOR",
    "engine": "RECONCILER_ENGINE",
    "listen": "RECONCILER_LISTEN",
    "gateway_image": "RECONCILER_GATEWAY_IMAGE",
    "registry_http": "RECONCILER_REGISTRY_HTTP",
    "registry_sd": "RECONCILER_REGISTRY_SD",
    "registry_dns": "RECONCILER_REGISTRY_DNS",
    "registry_token_file": "RECONCILER_REGISTRY_TOKEN_FILE",
    "registry_node": "RECONCILER_REGISTRY_NODE",
    "registry_address": "RECONCILER_REGISTRY_ADDRESS",
    "git_token_file": "RECONCILER_GIT_TOKEN_FILE",
    "git_username": "RECONCILER_GIT_USERNAME",
    "ssh_key": "RECONCILER_SSH_KEY",
    "known_hosts": "RECONCILER_KNOWN_HOSTS",
    "ca_bundle": "RECONCILER_CA_BUNDLE",
    "allow_file": "RECONCILER_GIT_ALLOW_FILE",
    "allow_http": "RECONCILER_GIT_ALLOW_HTTP",
}

_SWITCHES: Mapping[str, bool] = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def said(arguments: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the command line or, behind it, the environment says, by setting; what neither says is left out."""
    near = {setting: environ.get(variable) for setting, variable in VARIABLES.items()}
    near.update({setting: str(value) for setting, value in arguments.items() if setting in VARIABLES and value is not None})
    return {setting: value for setting, value in near.items() if value}


def resolve(said: Mapping[str, str], operator: Operator | None = None) -> Settings:
    """Join what was said with the operator's file and the defaults. Raises UsageError for an unclear switch."""
    operator = operator or Operator()
    git = replace(
        operator.git,
        token_file=_path(said, "git_token_file", operator.git.token_file),
        username=said.get("git_username", operator.git.username),
        ssh_key=_path(said, "ssh_key", operator.git.ssh_key),
        known_hosts=_path(said, "known_hosts", operator.git.known_hosts),
        ca_bundle=_path(said, "ca_bundle", operator.git.ca_bundle),
        allow_file=_switch(said, "allow_file"),
        allow_http=_switch(said, "allow_http"),
    )
    return Settings(
        source=said.get("source", ""),
        branch=said.get("branch", "main"),
        path=said.get("path", ""),
        state=Path(said.get("state", STATE)),
        engine=said.get("engine", ""),
        operator=replace(
            operator,
            git=git,
            listen=said.get("listen", operator.listen),
            gateway_image=said.get("gateway_image", operator.gateway_image),
            registry=_registry(said, operator.registry),
        ),
    )


def _registry(said: Mapping[str, str], behind: RegistryFaces) -> RegistryFaces:
    if not NAME.fullmatch(said.get("registry_node", "node")):
        raise UsageError(f"{said['registry_node']!r} is no name of a node", hint="write letters, digits and `_.-`")
    try:
        ip_address(said.get("registry_address", behind.address))
    except ValueError:
        hint = "write --registry-address 192.0.2.10, or such"
        raise UsageError(f"{said['registry_address']!r} is no IP address", hint=hint) from None
    return RegistryFaces(
        http=said.get("registry_http", behind.http),
        sd=said.get("registry_sd", behind.sd),
        dns=said.get("registry_dns", behind.dns),
        token_file=_path(said, "registry_token_file", behind.token_file),
        node=said.get("registry_node", behind.node),
        address=said.get("registry_address", behind.address),
        nameservers=behind.nameservers,
    )


def _path(said: Mapping[str, str], setting: str, behind: Path | None) -> Path | None:
    return Path(said[setting]) if setting in said else behind


def _switch(said: Mapping[str, str], setting: str) -> bool:
    word = said.get(setting, "no").lower()
    if word not in _SWITCHES:
        raise UsageError(f"{VARIABLES[setting]} is {word!r}", hint=f"write one of {', '.join(_SWITCHES)}")
    return _SWITCHES[word]
