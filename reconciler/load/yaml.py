"""Turn the bytes of a YAML file into nodes that know their place, by go-yaml's rules and within hard bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from yaml import YAMLError
from yaml import events as yaml_events
from yaml._yaml import CParser

from reconciler.errors import InvalidState, Mark, Problem
from reconciler.load.node import RESET_OVER_MERGE, Node, Scalar
from reconciler.load.scalars import is_date, resolve, resolve_as
from reconciler.load.syntax import explain
from reconciler.load.text import brief, decode

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_PROBLEMS = 50

_Scalar = yaml_events.ScalarEvent
_Sequence = yaml_events.SequenceStartEvent
_Mapping = yaml_events.MappingStartEvent
_Alias = yaml_events.AliasEvent
_STANDARD = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(("str", "int", "float", "bool", "null", "binary"))
_COLLECTION_TAGS = {dict: frozenset(("map", "set")), list: frozenset(("seq", "omap", "pairs"))}
_OWN_TAGS = frozenset(("!reset", "!override"))
_KIND_NAMES = {dict: "a mapping", list: "a list"}


def parse(data: bytes, path: str) -> tuple[Node, ...]:
    """Return one node per YAML document, () for a file without any.

    Merge keys and aliases are resolved, keys are strings, and no key stands twice. A value reached through an alias is
    the anchored node itself, with the anchor's place, so nodes may be shared. Raises InvalidState with every problem
    up to the first broken piece of syntax.
    """
    composer = _Composer(decode(data, path), path)
    documents = composer.documents()
    if composer.problems:
        raise InvalidState(composer.problems)
    return documents


class _TooMuch(Exception):
    """The file is refused as a whole: nothing after this is worth reading."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an alias brings in: the node, how many nodes that is written out, and how deep it goes."""

    node: Node
    size: int
    height: int


class _Composer:
    """Builds nodes from libyaml's events, which unlike its own composer need no C stack per level."""

    def __init__(self, text: str, path: str) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._path = path
        self._parser = CParser(text)
        # As in go-yaml, anchors live on in the file's later documents.
        self._anchors: dict[str, _Anchored | None] = {}
        self._trail: list[str] = []
        self._nodes = 0
        self._deepest = 0

    def documents(self) -> tuple[Node, ...]:
        found: list[Node] = []
        try:
            while (event := self._next()) is not None:
                if isinstance(event, yaml_events.DocumentStartEvent):
                    self._check_version(event)
                    found.append(self._compose(self._next(), 1, None))
        except YAMLError as error:
            self.problems.append(explain(error, self._text, self._path))
        except _TooMuch as bomb:
            self.problems.append(bomb.problem)
        return tuple(found)

    def _next(self) -> Any:
        return self._parser.get_event()

    def _check_version(self, event: Any) -> None:
        if event.version and event.version != (1, 1):
            self._blame("R003", "Compose reads no YAML version but 1.1", self._mark(event), "remove the %YAML line")

    def _compose(self, event: Any, depth: int, key: Mark | None) -> Node:
        kind = event.__class__
        if kind is _Alias:
            return self._alias(event, depth, key)
        self._count(1, event)
        nodes, deepest = self._nodes - 1, self._deepest
        if event.anchor is not None:
            # Known but unfinished, so that an alias inside its own anchor is found.
            self._anchors[event.anchor], self._deepest = None, depth
        node = self._scalar(event, key) if kind is _Scalar else self._collection(event, depth, key)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, self._nodes - nodes, self._deepest - depth)
            self._deepest = max(deepest, self._deepest)
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            hint = "aliases and merge keys count as if written out; repeat fewer of them"
            message = f"the file holds more than {MAX_NODES:,} values"
            raise _TooMuch(Problem("R012", message, self._mark(event), self._at(), hint))

    def _mark(self, event: Any) -> Mark:
        mark = event.start_mark
        return Mark(self._path, mark.line + 1, mark.column + 1)

    def _alias(self, event: Any, depth: int, key: Mark | None) -> Node:
        name = event.anchor
        anchored = self._anchors.get(name)
        if anchored is None:
            inside = name in self._anchors
            message = f'alias "*{brief(name)}" stands inside its own anchor' if inside else f'no anchor "&{brief(name)}" above'
            hint = "a value cannot hold itself" if inside else "quote text that starts with *, or add the anchor"
            self._blame("R006", message, self._mark(event), hint)
            return Node(None, self._mark(event), key)
        self._count(anchored.size, event)
        self._reach(depth + anchored.height, event)
        return Node(anchored.node.value, anchored.node.mark, key, anchored.node.tag)

    def _reach(self, depth: int, event: Any) -> None:
        if depth > self._deepest:
            self._deepest = depth
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            raise _TooMuch(Problem("R011", message, self._mark(event), hint="flatten it"))

    def _scalar(self, event: Any, key: Mark | None) -> Node:
        mark = self._mark(event)
        tag = event.tag
        if tag is not None and tag != "!":
            return self._tagged_scalar(event, mark, key)
        text: str = event.value
        if event.style:
            return Node(text, mark, key)
        value = resolve(text)
        if value is text and is_date(text):
            self._blame_date(mark)
        return Node(value, mark, key)

    def _tagged_scalar(self, event: Any, mark: Mark, key: Mark | None) -> Node:
        text, tag = event.value, event.tag
        if tag == "!reset":
            return Node(None, mark, key, tag)
        if tag == "!override":
            # go-yaml leaves a scalar with a tag of one's own as text: even `!override null` is the text "null".
            return Node(text, mark, key, tag)
        return Node(self._converted(tag, text, mark), mark, key)

    def _converted(self, tag: str, text: str, mark: Mark) -> Scalar:
        name = tag.removeprefix(_STANDARD)
        if name == "timestamp":
            self._blame_date(mark)
        elif name not in _SCALAR_TAGS:
            self._blame_tag(tag, mark)
        else:
            try:
                return resolve_as(name, text)
            except ValueError:
                self._blame("R022", f"the value is no !!{name}", mark, "remove the tag or correct the value")
        return None

    def _collection(self, event: Any, depth: int, key: Mark | None) -> Node:
        self._reach(depth, event)
        mark = self._mark(event)
        value: dict[str, Node] | list[Node]
        value = self._mapping(depth) if event.__class__ is _Mapping else self._sequence(depth)
        tag = event.tag
        if tag in _OWN_TAGS:
            return Node(value, mark, key, tag)
        if tag is not None and tag != "!":
            self._check_collection_tag(tag, value, mark)
        return Node(value, mark, key)

    def _sequence(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while (event := self._next()).__class__ is not yaml_events.SequenceEndEvent:
            self._trail.append(str(len(items)))
            items.append(self._compose(event, depth + 1, None))
            self._trail.pop()
        return items

    def _mapping(self, depth: int) -> dict[str, Node]:
        items: dict[str, Node] = {}
        merge: dict[str, Node] = {}
        while (event := self._next()).__class__ is not yaml_events.MappingEndEvent:
            mark = self._mark(event)
            target, name = (merge, "<<") if _is_merge(event) else (items, self._key(event, depth))
            self._trail.append(name or "")
            if name in target:
                self._blame_duplicate(name, mark, target[name])
            node = self._compose(self._next(), depth + 1, mark)
            self._trail.pop()
            if name is not None:
                target[name] = node
        return self._merged(items, merge["<<"]) if merge else items

    def _key(self, event: Any, depth: int) -> str | None:
        """Return the key's text, or None after saying why there is none."""
        if event.__class__ is _Scalar and event.style and event.tag is None and event.anchor is None:
            return str(event.value)
        node = self._compose(event, depth + 1, None)
        if isinstance(node.value, str) and not node.tag:
            return node.value
        if node.tag:
            message, hint = f'the tag "{brief(node.tag)}" stands on a key', "put the tag after the colon, before the value"
        elif isinstance(node.value, dict | list):
            message, hint = f"{_KIND_NAMES[type(node.value)]} cannot be a key", "quote text that starts with { or ["
        else:
            shown = brief(event.value) if event.__class__ is _Scalar and event.value else "null"
            message, hint = f"the key {shown} is not text", f'write "{shown}" in quotes'
        self._blame("R020", message, self._mark(event), hint)
        return None

    def _merged(self, items: dict[str, Node], merge: Node) -> dict[str, Node]:
        sources = merge.value if isinstance(merge.value, list) else [merge]
        for source in sources:
            if not isinstance(source.value, dict):
                hint = "such as `<<: *defaults`"
                self._blame("R023", "`<<` takes a mapping or a list of mappings", merge.where, hint)
                break
            # A mapping's own keys win over merged ones, and an earlier source wins over a later.
            for name, node in source.value.items():
                own = items.setdefault(name, node)
                if own.tag == "!reset" and own is not node:
                    items[name] = replace(node, key=own.key, tag=RESET_OVER_MERGE)
        return items

    def _check_collection_tag(self, tag: str, value: dict[str, Node] | list[Node], mark: Mark) -> None:
        name = tag.removeprefix(_STANDARD)
        if name in _COLLECTION_TAGS[type(value)]:
            return
        if name in _SCALAR_TAGS.union(*_COLLECTION_TAGS.values()):
            self._blame("R022", f"{_KIND_NAMES[type(value)]} is no !!{name}", mark, "remove the tag")
        else:
            self._blame_tag(tag, mark)

    def _blame_tag(self, tag: str, mark: Mark) -> None:
        shown = brief(tag.replace(_STANDARD, "!!"))
        hint = "Compose knows !reset and !override; quote text that starts with !"
        self._blame("R005", f'unknown tag "{shown}"', mark, hint)

    def _blame_date(self, mark: Mark) -> None:
        self._blame("R021", "this value is a date, and no field takes a date", mark, "write it in quotes")

    def _blame_duplicate(self, name: str, mark: Mark, first: Node) -> None:
        line = first.where.line
        message = f'the key "{brief(name)}" is already defined ' + ("on this line" if line == mark.line else f"on line {line}")
        self._blame("R004", message, mark, "keep one of them")

    def _blame(self, code: str, message: str, mark: Mark, hint: str = "") -> None:
        self.problems.append(Problem(code, message, mark, self._at(), hint))
        if len(self.problems) == MAX_PROBLEMS:
            raise _TooMuch(Problem("R013", f"{MAX_PROBLEMS} problems in one file: the rest is not shown", mark))

    def _at(self) -> str:
        return ".".join(map(brief, self._trail))


def _is_merge(event: Any) -> bool:
    return (
        event.__class__ is _Scalar and event.value == "<<" and not event.style and event.tag in (None, "!", _STANDARD + "merge")
    )
