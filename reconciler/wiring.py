"""Which driver serves which port? Settings in, drivers out; the only module that names a driver, each lazily."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import InvalidState, Mark, Problem, Refused, UsageError
from reconciler.settings import STATE, Operator, Settings, resolve, said

if TYPE_CHECKING:
    from reconciler.apply import Progress
    from reconciler.loop import Reconciler, World
    from reconciler.model.desired import Environment
    from reconciler.ports import Catalog, Clock, Commits, Files, Gateway, Registries, Registry, Runtime, Source, Store, Writer
    from reconciler.reading import Load


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a verb works: the resolved settings, and the drivers they lead to, made when asked for."""

    settings: Settings

    def source(self) -> Source:
        return open_source(self.settings)

    def writer(self, environment: Environment) -> Writer:
        """Return who commits to the source, as the environment says. Raises UsageError for a directory."""
        from random import Random
        from socket import gethostname

        from reconciler.drivers.git import GitSource, GitWriter, Hand
        from reconciler.load.environment import write_back

        source = self.source()
        if not isinstance(source, GitSource):
            message = f"{self.settings.source or '.'} is a directory, so nothing can be committed to it"
            raise UsageError(message, hint="name the Git remote: --source or RECONCILER_SOURCE")
        said = write_back(environment)
        hand = Hand(said.author, gethostname(), self.settings.operator.git.signing_key, said.skip_ci)
        chance = Random(f"{gethostname()}:{os.getpid()}")
        return GitWriter(source, hand, self.clock(), chance, to=said.branch or "", push_branch=said.push_branch or "")

    def runtime(self) -> Runtime:
        from reconciler.drivers.docker import connect

        return connect(self.settings.engine or None, clock=self.clock(), logins=self.settings.operator.registries)

    def gateway(self, runtime: Runtime) -> Gateway | None:
        """Return the way to the gateway on a runtime's engine, whether or not there is one; None for what has no inside."""
        from reconciler.drivers.docker import DockerRuntime
        from reconciler.drivers.haproxy import HaproxyGateway

        return HaproxyGateway(runtime.inside(), self.clock()) if isinstance(runtime, DockerRuntime) else None

    def store(self) -> Store:
        from reconciler.drivers.sqlite import SqliteStore

        return SqliteStore(self.settings.state, warn=_warn)

    def clock(self) -> Clock:
        from reconciler.drivers.clock import SystemClock

        return SystemClock()

    def load(self) -> Load:
        return loader(self.settings)

    def catalog(self) -> Catalog:
        """Return the registry that is built in, still empty."""
        from socket import gethostname

        from reconciler.drivers.catalog import MemoryCatalog

        faces = self.settings.operator.registry
        return MemoryCatalog(self.clock(), faces.node or gethostname(), faces.address)

    def registry_token(self) -> str:
        """Return the token with which programs register themselves with us, "" for none. Raises Refused."""
        return _token(self.settings.operator.registry.token_file)

    def registries(self) -> Registries:
        """Return who opens the external registry that Git names, if the operator allows it. Each is opened once."""
        from reconciler.drivers.consul import ConsulRegistry

        operator = self.settings.operator
        opened: dict[str, Registry] = {}

        def registry(url: str) -> Registry:
            if url not in operator.consuls:
                hint = "list it under `credentials.consul` of the operator's file"
                raise Refused(f"the operator does not allow the registry {url}", hint=hint)
            if url not in opened:
                access = operator.consuls[url]
                token = _token(access.token_file, access.token_variable)
                opened[url] = ConsulRegistry(url, self.clock(), operator.registry.address, token)
            return opened[url]

        return registry

    def world(self, catalog: Catalog | None = None, *, writes: bool = False) -> World:
        """Return every neighbour of the loop; `writes` says whether it may commit by itself."""
        from reconciler.loop import World

        runtime, registries = self.runtime(), self.registries()
        gateway, writer = self.gateway(runtime), self.writer if writes else None
        return World(self.source(), self.load(), runtime, self.store(), self.clock(), gateway, catalog, registries, writer)

    def reconciler(
        self, progress: Progress | None = None, catalog: Catalog | None = None, *, writes: bool = False
    ) -> Reconciler:
        """Return the loop's core; `progress` hears when an action begins and ends, `catalog` what can be found."""
        from reconciler.apply import Applier
        from reconciler.loop import Reconciler

        world = self.world(catalog, writes=writes)
        applier = Applier(world.runtime, world.clock, gateway=world.gateway, progress=progress, registries=world.registries)
        return Reconciler(world, applier)

    def commits(self) -> Commits:
        """Return the past of the source, just fetched; for a directory, of the repository that it stands in."""
        place = Path(self.settings.source or ".")
        if not place.is_dir() or _is_bare(place):
            source = self.source()
            source.fetch()
            return source
        from reconciler.drivers.git import WorkingCopy

        return WorkingCopy(place, self.settings.path)


def workplace(arguments: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Workplace:
    """Resolve command line, environment variables and the operator's file. Raises InvalidState, UsageError."""
    words = said(arguments, environ)
    words.setdefault("state", str(_default_state(environ)))
    operator = _operator(Path(words["operator"])) if "operator" in words else None
    return Workplace(resolve(words, operator))


def _default_state(environ: Mapping[str, str]) -> Path:
    """Root and containers keep state where services do; everybody else where XDG says."""
    if os.geteuid() == 0 or STATE.is_dir():
        return STATE
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "state")
    return Path(base) / "reconciler"


def _operator(path: Path) -> Operator:
    from reconciler.load.operator import read_operator

    try:
        return read_operator(path.read_bytes(), str(path))
    except OSError as error:
        message = f"the operator's file cannot be read: {error.strerror}"
        raise InvalidState([Problem("R114", message, Mark(str(path)), hint="see --operator")]) from error


def _token(file: Path | None, variable: str = "") -> str:
    """Return the token for a registry, "" where none is named. Raises Refused where one is named and not to be had."""
    place = str(file) if file else variable
    try:
        token = file.read_text("utf-8").strip() if file else os.environ.get(variable, "")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"the registry's token cannot be read from {place}", hint="see the operator's file") from error
    if place and not token:
        raise Refused(f"{place} is to hold the registry's token, and holds none", hint="see the operator's file")
    return token


def _warn(text: str) -> None:
    sys.stderr.write(f"warning: {text}\n")


def open_source(settings: Settings) -> Source:
    """Return the Git source for an address or a bare repository on this machine, else the directory."""
    place = settings.source or "."
    local = Path(place)
    if local.is_dir() and not _is_bare(local):
        from reconciler.drivers.directory import FolderSource

        return FolderSource(local / settings.path if settings.path else local)
    return _git_source(str(local.absolute()) if local.is_dir() else place, settings, local.is_dir())


def _is_bare(directory: Path) -> bool:
    return (directory / "HEAD").is_file() and (directory / "objects").is_dir() and (directory / "refs").is_dir()


def _git_source(address: str, settings: Settings, local: bool) -> Source:
    from reconciler.drivers.git import Credentials, GitSource
    from reconciler.load.giturl import parse_url

    access = settings.operator.git
    credentials = Credentials(
        access.token_file, access.token_variable, access.username, access.ssh_key, access.known_hosts, access.ca_bundle
    )
    # A path of this machine was named by whoever started us; only what else is said needs the operator's word.
    url = parse_url(address, allow_file=local or access.allow_file, allow_http=access.allow_http)
    clone = settings.state / "clones" / sha256(f"{address}\0{settings.branch}".encode()).hexdigest()[:16]
    return GitSource(url, settings.branch, clone, path=settings.path, credentials=credentials)


def whole_machine() -> Files:
    """Return the files of this machine from its root on, links followed: for what works as docker compose does."""
    from reconciler.drivers.directory import DirectoryFiles

    return DirectoryFiles(Path("/"), follow_links=True)


def loader(settings: Settings) -> Load:
    """Bind the operator's settings to the pure loader."""
    from reconciler.load.loading import LoadSettings, load
    from reconciler.load.memory import Memory
    from reconciler.load.names import NameServers
    from reconciler.model.desired import DesiredState
    from reconciler.model.source import Revision

    operator = settings.operator
    memory = Memory()
    faces = operator.registry
    bound = LoadSettings(
        _name_of(settings),
        operator.environment,
        operator.policy,
        operator.gateway_image,
        NameServers(faces.dns_for_containers, faces.nameservers),
    )

    def loaded(files: Files, revision: Revision) -> DesiredState:
        return load(files, revision, bound, memory)

    return loaded


def _name_of(settings: Settings) -> str:
    """What the environment is called where the repository does not say: the last part of its address."""
    place = settings.source or "."
    name = Path(place).absolute().name if Path(place).is_dir() else place.rstrip("/").rpartition("/")[2]
    return name.removesuffix(".git") or "default"
