"""What does a short volume entry mount, from where, and how?

The grammar is Compose's `[SOURCE:]TARGET[:OPTION,…]`, Windows drive letters included.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import normpath

PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
RELABELLINGS = ("z", "Z")
OUTDATED_OPTIONS = ("cached", "delegated", "consistent")


@dataclass(frozen=True, slots=True)
class Mount:
    """A parsed entry. `ignored` holds the options Compose passes over, `drive` tells that a letter was taken for one.

    `plain` is true for an entry too short to be parsed at all, which Compose takes as a target as it stands.
    """

    source: str
    target: str
    options: tuple[str, ...] = ()
    drive: bool = False
    plain: bool = False

    @property
    def is_bind(self) -> bool:
        """Say whether the source is a path rather than a volume's name."""
        return self.source.startswith((".", "/", "~", "\\\\")) or _starts_with_drive(self.source)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the options that mean nothing to Compose."""
        known = ("ro", "rw", "nocopy", *PROPAGATIONS, *RELABELLINGS)
        return tuple(option for option in self.options if option not in known)

    def last_of(self, choices: tuple[str, ...]) -> str:
        """Return the last option among the choices, or ""."""
        return next((option for option in reversed(self.options) if option in choices), "")


def parse_mount(text: str) -> Mount:
    """Return what a short entry says. Raises ValueError with the reason."""
    if not text:
        raise ValueError("it is empty")
    if len(text) <= 2:
        return Mount("", text, plain=True)
    parts, drive = _sections(text)
    if "" in parts:
        raise ValueError("a part between colons is empty")
    if len(parts) > 3:
        raise ValueError("it has too many colons")
    if len(parts) == 1:
        return Mount("", parts[0], drive=drive)
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    return Mount(parts[0], parts[1], options, drive)


def target_of(text: str) -> str | None:
    """Return the target of a short entry, or None for one that cannot be parsed."""
    try:
        return parse_mount(text).target
    except ValueError:
        return None


def clean(path: str) -> str:
    """Return the path without `.`, `..`, and double or closing slashes, lexically, like Go's path.Clean."""
    return "/" + normpath(path).lstrip("/") if path.startswith("/") else normpath(path)


def _sections(text: str) -> tuple[list[str], bool]:
    """Split at colons, save those inside `${…}` and those after a single letter, which Compose takes for a drive."""
    parts, drive, depth = [""], False, 0
    for index, character in enumerate(text):
        if character == ":" and len(parts[-1]) == 1 and parts[-1].isalpha():
            drive = True
        elif character == ":" and not depth:
            parts.append("")
            continue
        depth += character == "$" and text[index + 1 : index + 2] == "{"
        depth -= character == "}" and depth > 0
        parts[-1] += character
    return parts, drive


def _starts_with_drive(source: str) -> bool:
    return len(source) > 1 and source[0].isalpha() and source[1] == ":"
