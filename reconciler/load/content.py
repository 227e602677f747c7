"""Which files does a service get by content, and how does each reach its place?

Configs, secrets and files of the repository are delivered into the container rather than mounted from the host, so that
they work on a remote engine and a changed file replaces exactly the services that use it. A file goes into the container
itself; what the container's own file system cannot take, or what must hide a whole directory, goes through a volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from posixpath import basename, dirname, join, normpath
from typing import Any

from reconciler.errors import InvalidState, Problem
from reconciler.load.compose import Project
from reconciler.load.definition import Context, Definition, definition
from reconciler.model.content import content_digest
from reconciler.model.desired import CONTENT_VOLUME, ContentFile, ContentVolume
from reconciler.ports import FileKind

MAX_BYTES = 64 * 1024 * 1024
MAX_FILES = 1000

READABLE = 0o444
EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a service's files reach it.

    mounts  the entries of `volumes` that stay the engine's, host paths resolved, those of content volumes at the end
    """

    mounts: tuple[Mapping[str, Any], ...] = ()
    files: tuple[ContentFile, ...] = ()
    volumes: tuple[ContentVolume, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that is to stand at `file.target`, and the attribute that asked for it."""

    file: ContentFile
    at: tuple[str | int, ...]


@dataclass(slots=True)
class _Work:
    """What sorting one service's files has found so far."""

    service: Definition
    project: Project
    context: Context
    mounts: list[Mapping[str, Any]] = field(default_factory=list)
    files: list[Placed] = field(default_factory=list)
    directories: dict[str, list[ContentFile]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    count: int = 0
    size_bytes: int = 0

    def problem(self, code: str, message: str, at: tuple[str | int, ...], hint: str = "") -> None:
        self.problems.append(self.service.problem(code, message, *at, hint=hint))

    def warning(self, code: str, message: str, at: tuple[str | int, ...], hint: str = "") -> None:
        self.warnings.append(self.service.warning(code, message, *at, hint=hint))


class Reading(_Work):
    """Reads single files for a service, whoever they are for. Collects problems, never raises."""

    def file(self, path: str, at: tuple[str | int, ...]) -> bytes | None:
        """Return a file of the repository, None once a problem says why not."""
        if self.context.files.kind(path) is not FileKind.FILE:
            self.problem("R167", f"the file {path} is not in the commit", at, "a path counts from the repository's root")
            return None
        return _read(self, path, at)

    def secret(self, name: str, at: tuple[str | int, ...]) -> bytes | None:
        """Return what a secret of the stack holds, None once a problem says why not."""
        if name not in self.project.document.get("secrets", {}):
            self.problem("R166", f"the stack declares no secret {name}", at, "declare it under `secrets` of the compose file")
            return None
        thing = definition(self.project, "secrets", name)
        if refused := _not_local(thing):
            self.problem("R166", f"secret {name}: {refused}", at, "use file, environment or content")
            return None
        found = _content(self, thing, at)
        return found[0] if found else None


def deliver(service: Definition, project: Project, context: Context) -> Delivery:
    """Sort a service's configs, secrets and volumes into what is mounted and what is delivered. Collects, never raises."""
    work = _Work(service, project, context)
    for index, mount in enumerate(service.values.get("volumes") or ()):
        _sort_mount(work, mount, ("volumes", index))
    for section in ("configs", "secrets"):
        for index, entry in enumerate(service.values.get(section) or ()):
            _sort_object(work, section, entry, (section, index))
    plain, volumes = _place(work)
    mounts = (*work.mounts, *map(_content_mount, volumes))
    return Delivery(mounts, plain, volumes, tuple(work.problems), tuple(work.warnings))


# --- volumes: the engine's, or the repository's ----------------------------------------------------------------------


def _sort_mount(work: _Work, mount: Mapping[str, Any], at: tuple[str | int, ...]) -> None:
    if mount["type"] in ("npipe", "cluster"):
        work.problem("R181", f"the mount type {mount['type']} is not implemented", (*at, "type"), "use a bind or a volume")
        return
    if _clean(mount["target"]) == "/" or not mount["target"].startswith("/"):
        work.problem("R169", "a mount needs an absolute target below the root", (*at, "target"))
        return
    path = work.context.inside(mount.get("source") or "") if mount["type"] == "bind" else None
    if path is None:
        work.mounts.append(mount)
        return
    match work.context.files.kind(path):
        case FileKind.FILE:
            _deliver_file(work, mount, path, at)
        case FileKind.DIRECTORY if mount.get("read_only"):
            work.directories[_clean(mount["target"])] = list(_walk(work, path, mount["target"], at))
        case FileKind.SYMLINK | FileKind.SUBMODULE as kind:
            hint = "put the files themselves into the repository"
            work.problem("R167", f"{path} is a {kind}, which is never followed", at, hint)
        case kind:
            _from_host(work, mount, path, at, "directory" if kind else "path")


def _deliver_file(work: _Work, mount: Mapping[str, Any], path: str, at: tuple[str | int, ...]) -> None:
    content = _read(work, path, at)
    if content is None:
        return
    mode = 0o755 if work.context.files.executable(path) else 0o644
    work.files.append(Placed(ContentFile(_clean(mount["target"]), content, mode), at))
    if not mount.get("read_only"):
        hint = "mount it read-only (`:ro`), or give the service a volume for what it writes"
        work.warning("R170", f"what the service writes to {mount['target']} stays in the container", at, hint)


def _from_host(work: _Work, mount: Mapping[str, Any], path: str, at: tuple[str | int, ...], noun: str) -> None:
    """Data stands on the engine's host, and only the operator of the stack knows where."""
    if work.context.host_root:
        work.mounts.append({**mount, "source": join(work.context.host_root, path).rstrip("/")})
        return
    where = path or "the repository's root"
    why = "is mounted writable" if noun == "directory" else "is not in the commit"
    hint = "name where the repository's directories stand on the host: `host_root` of the stack, or use a named volume"
    work.problem("R168", f"{where} {why}, so it must stand on the engine's host, and nobody says where", at, hint)


def _walk(work: _Work, path: str, target: str, at: tuple[str | int, ...]) -> Iterator[ContentFile]:
    files = work.context.files
    for name in files.children(path):
        inner, place = join(path, name), join(_clean(target), name)
        match files.kind(inner):
            case FileKind.DIRECTORY:
                yield from _walk(work, inner, place, at)
            case FileKind.FILE:
                content = _read(work, inner, at)
                if content is not None:
                    yield ContentFile(place, content, 0o755 if files.executable(inner) else 0o644)
            case kind:
                hint = "put the files themselves into the repository"
                work.problem("R167", f"{inner} is a {kind or 'missing file'}, which is never followed", at, hint)


def _read(work: _Work, path: str, at: tuple[str | int, ...]) -> bytes | None:
    """Return a file's content, or None once it is refused or the service has more than its share."""
    if work.count > MAX_FILES or work.size_bytes > MAX_BYTES:
        return None
    try:
        content = work.context.files.read(path)
    except InvalidState as error:
        for problem in error.problems:
            work.problem("R167", problem.message, at, problem.hint)
        return None
    work.count, work.size_bytes = work.count + 1, work.size_bytes + len(content)
    if work.count > MAX_FILES or work.size_bytes > MAX_BYTES:
        message = f"more is to be delivered than {MAX_FILES} files of {MAX_BYTES >> 20} MiB together"
        work.problem("R173", message, at, "put data into a volume or an image; the repository is for configuration")
    return content


# --- configs and secrets ---------------------------------------------------------------------------------------------


def _sort_object(work: _Work, section: str, entry: Mapping[str, Any], at: tuple[str | int, ...]) -> None:
    thing = definition(work.project, section, entry["source"])
    target = _target(section, entry)
    if target == "/":
        work.problem("R169", f"the root cannot be the target of a {section[:-1]}", at)
    elif refused := _not_local(thing):
        work.problem("R166", f"{section[:-1]} {thing.name}: {refused}", at, "use file, environment or content")
    elif (path := thing.values.get("file")) and _stands_on_host(work, path):
        _mount_from_host(work, entry, path, target, at)
    elif (found := _content(work, thing, at)) is not None:
        content, default_mode = found
        file = ContentFile(target, content, secret=section == "secrets")
        work.files.append(Placed(_owned(work, file, entry, default_mode, at), at))


def _target(section: str, entry: Mapping[str, Any]) -> str:
    base = "/run/secrets" if section == "secrets" else "/"
    return _clean(join(base, entry.get("target") or entry["source"]))


def _not_local(thing: Definition) -> str:
    if thing.values.get("external"):
        return "it is external, and an engine without Swarm keeps none"
    for attribute in ("driver", "template_driver"):
        if thing.values.get(attribute):
            return f"{attribute} is Swarm's"
    return ""


def _stands_on_host(work: _Work, path: str) -> bool:
    """A file outside the repository, or one that Git does not hold while the stack says where such files stand."""
    inside = work.context.inside(path)
    return inside is None or (work.context.files.kind(inside) is None and bool(work.context.host_root))


def _mount_from_host(work: _Work, entry: Mapping[str, Any], path: str, target: str, at: tuple[str | int, ...]) -> None:
    inside = work.context.inside(path)
    source = path if inside is None else join(work.context.host_root, inside)
    mount = {"type": "bind", "source": source, "target": target, "read_only": True, "bind": {"create_host_path": False}}
    work.mounts.append(mount)
    for attribute in ("uid", "gid", "mode"):
        if entry.get(attribute):
            hint = "set it on the file itself, or bring the content by environment"
            work.warning("R171", f"{attribute} has no effect on a file of the host", (*at, attribute), hint)


def _content(work: _Work, thing: Definition, at: tuple[str | int, ...]) -> tuple[bytes, int] | None:
    """Return the content and its permissions where the service does not say them."""
    section = str(thing.path[0])
    if variable := thing.values.get("environment"):
        value = work.project.contents.get((section, thing.name))
        if value is None:
            hint = "declare it in the operator's file, in `environment` of reconciler.yaml or in the stack's .env"
            work.problem("R166", f"{section[:-1]} {thing.name} needs the variable {variable}, which is not set", at, hint)
            return None
        return value.encode(), READABLE
    if (text := thing.values.get("content")) is not None:
        return str(text).encode(), READABLE
    path = work.context.inside(thing.values.get("file") or "")
    if path is None or work.context.files.kind(path) is None:
        hint = "commit it, bring it by `environment`, or set `host_root` of the stack"
        work.problem("R167", f"the file {path} of {section[:-1]} {thing.name} is not in the commit", at, hint)
        return None
    content = _read(work, path, at)
    executable = EXECUTABLE if content is not None and work.context.files.executable(path) else 0
    return None if content is None else (content, READABLE | executable)


def _owned(work: _Work, file: ContentFile, entry: Mapping[str, Any], mode: int, at: tuple[str | int, ...]) -> ContentFile:
    owners = {}
    for name in ("uid", "gid"):
        text = str(entry.get(name) or "0")
        if not text.isdecimal():
            work.problem("R165", f"{name} must be a number: names are the image's", (*at, name))
        owners[name] = int(text) if text.isdecimal() else 0
    given = entry.get("mode")
    bits = mode if given is None else given if isinstance(given, int) else int(given, 8)
    return replace(file, mode=bits, uid=owners["uid"], gid=owners["gid"])


# --- where each file can stand ---------------------------------------------------------------------------------------


def _place(work: _Work) -> tuple[tuple[ContentFile, ...], tuple[ContentVolume, ...]]:
    """Return the files for the container itself and the volumes for the others."""
    plain: list[ContentFile] = []
    apart: list[Placed] = []
    for placed in work.files:
        holder = _holder(work, placed.file.target)
        if holder in work.directories:
            work.directories[holder].append(placed.file)
        elif _fits_into_container(work, placed, holder):
            plain.append(placed.file)
        elif _fits_apart(work, placed, holder):
            apart.append(placed)
    whole = [_volume(work, target, files, with_image=False) for target, files in sorted(work.directories.items())]
    parts = [_volume(work, target, files, with_image=True) for target, files in _by_directory(apart)]
    return tuple(sorted(plain, key=lambda file: file.target)), (*whole, *parts)


def _holder(work: _Work, target: str) -> str:
    """Return the deepest mount that the target lies in, "" for none."""
    mounts = [*map(_mount_target, work.mounts), *_tmpfs_targets(work), *work.directories]
    return max((mount for mount in mounts if _lies_in(target, mount)), key=len, default="")


def _mount_target(mount: Mapping[str, Any]) -> str:
    return _clean(mount["target"])


def _tmpfs_targets(work: _Work) -> list[str]:
    entries = [entry.partition(":")[0] for entry in work.service.values.get("tmpfs") or ()]
    mounted = [mount["target"] for mount in work.mounts if mount["type"] == "tmpfs"]
    return [_clean(target) for target in (*entries, *mounted)]


def _lies_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _fits_into_container(work: _Work, placed: Placed, holder: str) -> bool:
    """The engine takes files into a container before its start unless the root, or what is mounted there, is read-only."""
    if work.service.values.get("read_only") or holder in _tmpfs_targets(work):
        return False
    mount = next((mount for mount in work.mounts if _mount_target(mount) == holder), None)
    if mount is None:
        return True
    if mount.get("read_only"):
        return False
    kept = "the volume" if mount["type"] == "volume" else "the directory of the host"
    work.warning("R172", f"{placed.file.target} is written into {kept} mounted at {holder}, and stays there", placed.at)
    return True


def _fits_apart(work: _Work, placed: Placed, holder: str) -> bool:
    """A volume takes a whole directory: it must neither be the root nor hide what another mount brings there."""
    target, directory = placed.file.target, dirname(placed.file.target)
    if directory == "/":
        hint = f"give it a directory of its own: target /{basename(target)}.d/{basename(target)}"
        work.problem("R169", f"{target} stands in the root of a read-only file system", placed.at, hint)
        return False
    if holder and (directory == holder or holder not in _tmpfs_targets(work)):
        hint = "give it a target outside, or mount a directory of the repository there"
        work.problem("R169", f"{target} lies in the mount {holder}, which no file can be put into", placed.at, hint)
        return False
    return True


def _by_directory(apart: Iterable[Placed]) -> list[tuple[str, list[ContentFile]]]:
    """Group files by directory; one volume serves a directory and those below, which could not be mounted inside it."""
    grouped: dict[str, list[ContentFile]] = {}
    for placed in sorted(apart, key=lambda placed: dirname(placed.file.target)):
        directory = dirname(placed.file.target)
        outer = next((known for known in grouped if _lies_in(directory, known)), directory)
        grouped.setdefault(outer, []).append(placed.file)
    return sorted(grouped.items())


def _clean(path: str) -> str:
    return "/" + normpath(path).lstrip("/")


# --- content volumes -------------------------------------------------------------------------------------------------


def _volume(work: _Work, target: str, files: Iterable[ContentFile], *, with_image: bool) -> ContentVolume:
    ordered = tuple(sorted(files, key=lambda file: file.target))
    image = str(work.service.values.get("image") or "") if with_image else ""
    lines = [work.project.name, target, image, *(f"{file.target} {_fingerprint(file)}" for file in ordered)]
    name = f"{CONTENT_VOLUME}{sha256(chr(10).join(lines).encode()).hexdigest()[:32]}"
    return ContentVolume(name, target, ordered, read_only=True, with_image=with_image)


def _fingerprint(file: ContentFile) -> str:
    """Everyone who may list volumes sees the name, so a weak secret must be dear to guess from it."""
    digest = content_digest(file.content, file.mode, file.uid, file.gid)
    return _stretched(digest, file.target) if file.secret else digest


@lru_cache(maxsize=1024)
def _stretched(digest: str, salt: str) -> str:
    return pbkdf2_hmac("sha256", digest.encode(), salt.encode(), 20_000).hex()


def _content_mount(volume: ContentVolume) -> Mapping[str, Any]:
    options = {"nocopy": True}
    return {"type": "volume", "source": volume.name, "target": volume.target, "read_only": volume.read_only, "volume": options}
