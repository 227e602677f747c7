"""Where do the relative paths of a document lead?

Only the paths Compose resolves are; a project's relative paths start from its directory, an extended or included
file's from that file's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import join, normpath

from reconciler.load.node import Node
from reconciler.load.notes import Notes, Path

_REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")
_WINDOWS_ABSOLUTE = re.compile(r".:[\\/]|\\\\")

_Resolve = Callable[[Node, Path], Node]


def resolve_paths(document: Node, folder: str, home: str | None, notes: Notes, root: str = "/") -> Node:
    """Return the document with its relative paths joined to the folder; `home` None leaves `~` where it stands.

    A path that `..` leads out of the root is noted: it would become another path of the host.
    """
    return _Resolver(folder, home, notes, root.rstrip("/")).document(document)


def joined(folder: str, path: str) -> str:
    """Return the path seen from the folder, without `.` and `..` where they can be worked out."""
    return normpath(join(folder, path)) if folder or path else ""


@dataclass(frozen=True, slots=True)
class _Resolver:
    folder: str
    home: str | None
    notes: Notes
    root: str

    def document(self, document: Node) -> Node:
        file_object = _below({"file": self._host_path})
        return _below(
            {
                "services": _every(self._service),
                "volumes": _every(self._volume),
                "configs": _every(file_object),
                "secrets": _every(file_object),
            }
        )(document, ())

    def _service(self, service: Node, path: Path) -> Node:
        return _below(
            {
                "build": _below(
                    {
                        "context": self._context,
                        "additional_contexts": _every(self._context),
                        "ssh": _every(self._host_path),
                    }
                ),
                "develop": _below({"watch": _items(_below({"path": self._path}))}),
                "env_file": _items(_below({"path": self._path})),
                "extends": _below({"file": self._path}),
                "label_file": _items(self._path),
                "volumes": _items(self._mount),
            }
        )(service, path)

    def _mount(self, mount: Node, path: Path) -> Node:
        fields = mount.value
        if not isinstance(fields, dict) or "type" not in fields or fields["type"].value != "bind":
            return mount
        if "source" not in fields:
            self.notes.problem("R056", "a bind needs a source", mount, path)
            return mount
        return _below({"source": self._host_path})(mount, path)

    def _volume(self, volume: Node, path: Path) -> Node:
        """A local volume with `o: bind` is a bind in disguise."""
        fields = volume.value
        if not isinstance(fields, dict) or "driver" not in fields or fields["driver"].value != "local":
            return volume
        options = fields.get("driver_opts")
        if not options or not isinstance(options.value, dict) or "o" not in options.value:
            return volume
        if options.value["o"].value != "bind":
            return volume
        return _below({"driver_opts": _below({"device": self._host_path})})(volume, path)

    def _context(self, node: Node, path: Path) -> Node:
        text = node.value
        if isinstance(text, str) and ("://" in text or text.startswith(("service:", *_REMOTE))):
            return node
        return self._path(node, path)

    def _path(self, node: Node, path: Path) -> Node:
        text = node.value
        if not isinstance(text, str) or not text:
            return node
        return self._joined(node, text, path)

    def _host_path(self, node: Node, path: Path) -> Node:
        text = node.value
        if not isinstance(text, str) or _WINDOWS_ABSOLUTE.match(text):
            return node
        return self._joined(node, text, path)

    def _joined(self, node: Node, text: str, path: Path) -> Node:
        if text.startswith("~"):
            hint = "write the whole path"
            self.notes.trap("R070", "~ is the home directory of whoever runs the command", node, path, hint)
            return node if self.home is None else node.with_value(joined(self.home, f"./{text[1:]}"))
        if text.startswith("/"):
            return node
        resolved = joined(self.folder, text)
        if resolved.startswith("/") and resolved != self.root and not resolved.startswith(f"{self.root}/"):
            hint = "write it relative to the Compose file, inside the repository"
            self.notes.trap("R071", "the path leads out of the repository", node, path, hint)
        return node.with_value(resolved)


def _below(resolvers: dict[str, _Resolve]) -> _Resolve:
    def resolved(node: Node, path: Path) -> Node:
        if not isinstance(node.value, dict):
            return node
        entries = dict(node.value)
        for name in resolvers.keys() & entries.keys():
            entries[name] = resolvers[name](entries[name], (*path, name))
        return node.with_value(entries)

    return resolved


def _every(resolve: _Resolve) -> _Resolve:
    def resolved(node: Node, path: Path) -> Node:
        if not isinstance(node.value, dict):
            return node
        return node.with_value({name: resolve(child, (*path, name)) for name, child in node.value.items()})

    return resolved


def _items(resolve: _Resolve) -> _Resolve:
    def resolved(node: Node, path: Path) -> Node:
        if not isinstance(node.value, list):
            return node
        return node.with_value([resolve(item, (*path, index)) for index, item in enumerate(node.value)])

    return resolved
