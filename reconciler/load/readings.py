"""What does one written value mean: how many bytes, how long, which words, which pairs?"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import isfinite
from typing import Any

from reconciler.errors import InvalidState, Mark
from reconciler.load.attributes import Attribute
from reconciler.load.forms import Reading
from reconciler.load.node import Node, plain
from reconciler.load.notes import Notes, Path, dotted
from reconciler.load.scalars import render
from reconciler.load.shellwords import split
from reconciler.load.values import format_duration, parse_bool, parse_bytes, parse_duration, parse_float, parse_int

OMITTED = object()


def read(node: Node, attribute: Attribute, path: Path, notes: Notes, marks: dict[Path, Mark]) -> Any:
    """Return the canonical value, or OMITTED where it says nothing or cannot be read; then that is noted."""
    reader = _Reader(attribute, path, notes, marks)
    try:
        return _READERS[attribute.form.reading](reader, node)
    except InvalidState as invalid:
        notes.problems.extend(invalid.problems)
    except ValueError as fault:
        notes.problem("R054", f"{_named(path)}: {fault}", node, path)
    return OMITTED


class _Reader:
    def __init__(self, attribute: Attribute, path: Path, notes: Notes, marks: dict[Path, Mark]) -> None:
        self.attribute = attribute
        self.path = path
        self.notes = notes
        self.marks = marks

    def _place(self, node: Node) -> tuple[Mark, str]:
        return place_of(node), dotted(self.path)

    def _unless_zero(self, value: Any) -> Any:
        return value if value or self.attribute.keeps_zero else OMITTED

    def as_is(self, node: Node) -> Any:
        return OMITTED if node.value in (None, {}, []) else plain(node)

    def text(self, node: Node) -> Any:
        return OMITTED if node.value is None else self._unless_zero(render(_scalar(node)))

    def flag(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        flag = parse_bool(node.value, *self._place(node)) if isinstance(node.value, str) else bool(node.value)
        return self._unless_zero(flag)

    def integer(self, node: Node) -> Any:
        match node.value:
            case None:
                return OMITTED
            case str(text):
                return self._unless_zero(parse_int(text, *self._place(node)))
            case bool() | int() | float():
                return self._unless_zero(int(_finite(node.value)))
            case _:
                raise ValueError("a whole number is expected")

    def fraction(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        number = parse_float(node.value, *self._place(node)) if isinstance(node.value, str) else float(_scalar(node))
        return self._unless_zero(_single(_finite(number)))

    def size(self, node: Node) -> Any:
        match node.value:
            case None:
                return OMITTED
            case float():
                hint = 'write a text with a unit, such as "1.5g"'
                self.notes.trap("R064", "Compose reads a size with a fraction as nothing", node, self.path, hint)
                size = 0
            case int(number):
                size = number
            case text:
                size = parse_bytes(str(text), *self._place(node))
        return str(size) if size or self.attribute.keeps_zero else OMITTED

    def duration(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        nanoseconds = parse_duration(render(_scalar(node)), *self._place(node))
        return format_duration(nanoseconds) if nanoseconds or self.attribute.keeps_zero else OMITTED

    def command(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        if isinstance(node.value, list):
            return self._texts(node.value)
        words = split(str(node.value), *self._place(node))
        if words.stopped_at:
            hint = "for a shell write [sh, -c, ...]; else quote it"
            self.notes.trap("R065", f"Compose drops the command from the {words.stopped_at} on", node, self.path, hint)
        return list(words.words)

    def test(self, node: Node) -> Any:
        if isinstance(node.value, list):
            return self._unless_zero(self._texts(node.value))
        return OMITTED if node.value is None else ["CMD-SHELL", str(node.value)]

    def texts(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        return self._unless_zero(self._texts(node.value if isinstance(node.value, list) else [node]))

    def _texts(self, items: list[Node]) -> list[str]:
        for index, item in enumerate(items):
            self.marks[(*self.path, index)] = place_of(item)
        return [render(_scalar(item)) for item in items]

    def mapping(self, node: Node) -> Any:
        return self._unless_zero({name: text or "" for name, text in self._pairs(node).items()})

    def environment(self, node: Node) -> Any:
        return self._unless_zero(self._pairs(node))

    def _pairs(self, node: Node) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name, value, place in _pairs_of(node):
            self.marks[(*self.path, name)] = place
            found[name] = value
        return found

    def multi_mapping(self, node: Node) -> Any:
        entries = node.value if isinstance(node.value, dict) else {}
        listed = {name: child.value if isinstance(child.value, list) else [child] for name, child in entries.items()}
        said = {name: [render(_scalar(item)) for item in items] for name, items in listed.items() if items}
        return self._unless_zero(said)

    def hosts(self, node: Node) -> Any:
        hosts = _hosts_of(node)
        found: list[str] = []
        for host, addresses in hosts.items():
            if not host or ":" in host or "=" in host:
                raise ValueError(f'"{host}" is no host name')
            found += [f"{host}={_bare(address)}" for address in addresses]
        # Hosts that have no address at all still make a list.
        return sorted(found) if hosts else OMITTED

    def count(self, node: Node) -> Any:
        if node.value is None:
            return OMITTED
        text = render(_scalar(node))
        return self._unless_zero(-1 if text.lower() == "all" else parse_int(text, *self._place(node)))

    def mode(self, node: Node) -> Any:
        match node.value:
            case None:
                return OMITTED
            case str(text):
                return f"0{int(text, 8):o}"
            case int(number):
                return f"0{number:o}"
            case _:
                raise ValueError("permissions are an octal number")

    def dropped(self, node: Node) -> Any:
        return OMITTED


def _scalar(node: Node) -> Any:
    if isinstance(node.value, dict | list):
        raise ValueError("a single value is expected")
    return node.value


def _finite(number: float) -> float:
    if not isfinite(number):
        raise ValueError("a finite number is expected")
    return number


def _single(number: float) -> float | int:
    """Return the number as Compose keeps it: the shortest decimal of its single precision value."""
    if number.is_integer():
        return int(number)
    packed = struct.pack("f", number)
    for digits in range(1, 10):
        shortest = float(f"{number:.{digits}g}")
        if struct.pack("f", shortest) == packed:
            return shortest
    return number


def _pairs_of(node: Node) -> list[tuple[str, str | None, Mark]]:
    match node.value:
        case dict(entries):
            return [
                (name, None if child.value is None else render(_scalar(child)), place_of(child))
                for name, child in entries.items()
            ]
        case list(items):
            pairs = [(render(_scalar(item)).partition("="), place_of(item)) for item in items]
            return [(name, value if equals else None, place) for (name, equals, value), place in pairs]
        case _:
            return []


def _hosts_of(node: Node) -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    match node.value:
        case dict(entries):
            for host, child in entries.items():
                items = child.value if isinstance(child.value, list) else [child]
                hosts[host] = [render(_scalar(item)) for item in items]
        case list(items):
            for item in items:
                host, addresses = _host(render(_scalar(item)))
                hosts.setdefault(host, []).extend(addresses)
        case _:
            pass
    return hosts


def _host(text: str) -> tuple[str, list[str]]:
    separator = "=" if "=" in text else ":"
    host, found, addresses = text.partition(separator)
    if not found:
        raise ValueError(f'"{text}" names no address')
    return host, addresses.split(",")


def _bare(address: str) -> str:
    return address[1:-1] if len(address) > 2 and address[0] == "[" and address[-1] == "]" else address


def _named(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "value")


def place_of(node: Node) -> Mark:
    """Return where a person looks for the value, with the value's own word on whether its text may be shown."""
    where = node.where
    if where.literal == node.mark.literal:
        return where
    return Mark(where.path, where.line, where.column, node.mark.literal)


_READERS: dict[Reading, Callable[[_Reader, Node], Any]] = {
    Reading.AS_IS: _Reader.as_is,
    Reading.TEXT: _Reader.text,
    Reading.FLAG: _Reader.flag,
    Reading.INTEGER: _Reader.integer,
    Reading.FLOAT: _Reader.fraction,
    Reading.BYTES: _Reader.size,
    Reading.DURATION: _Reader.duration,
    Reading.COMMAND: _Reader.command,
    Reading.TEST: _Reader.test,
    Reading.TEXTS: _Reader.texts,
    Reading.MAPPING: _Reader.mapping,
    Reading.ENVIRONMENT: _Reader.environment,
    Reading.MULTI_MAPPING: _Reader.multi_mapping,
    Reading.HOSTS: _Reader.hosts,
    Reading.COUNT: _Reader.count,
    Reading.MODE: _Reader.mode,
    Reading.DROPPED: _Reader.dropped,
}
