"""In which shapes may an attribute be written, and what does its value mean?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of value YAML knows. A NUMBER is also satisfied by an INTEGER."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    LIST = "list"
    MAPPING = "mapping"


class Reading(StrEnum):
    """How a written value becomes the canonical one."""

    AS_IS = "as is"
    TEXT = "text"
    FLAG = "flag"
    INTEGER = "integer"
    FLOAT = "float"
    BYTES = "bytes"
    DURATION = "duration"
    COMMAND = "command"
    TEST = "health test"
    TEXTS = "texts"
    MAPPING = "mapping"
    ENVIRONMENT = "environment"
    MULTI_MAPPING = "multi mapping"
    HOSTS = "hosts"
    COUNT = "device count"
    MODE = "file mode"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Form:
    """One attribute's accepted shapes: scalars of some kinds, a list, a mapping, or several of these.

    kinds      scalars accepted
    choices    the only strings accepted; () for any
    pattern    regular expression that a string must contain a match of; "" for any
    at_least   smallest number
    at_most    largest number
    items      what a list holds, where its items have no row of their own; a list is refused when `listed` is false
    distinct   no two items of the list may be equal
    values     what a mapping's values are, where they have no row of their own
    names      pattern of a mapping's keys when it maps freely chosen names
    closed     names outside `names` are refused
    record     a mapping with named attributes, each its own row
    required   attributes a record must have
    extensible a record may hold `x-` keys
    opened     a record may hold any other key too
    """

    kinds: frozenset[Kind] = frozenset()
    choices: tuple[str, ...] = ()
    pattern: str = ""
    at_least: int | None = None
    at_most: int | None = None
    listed: bool = False
    items: Form | None = None
    distinct: bool = False
    values: Form | None = None
    names: str = ""
    closed: bool = False
    record: bool = False
    required: tuple[str, ...] = ()
    extensible: bool = True
    opened: bool = False
    reading: Reading = Reading.AS_IS

    @property
    def mapped(self) -> bool:
        """Say whether a mapping is accepted at all."""
        return self.record or bool(self.names)

    def read(self, reading: Reading) -> Form:
        """Return this form with another meaning."""
        return replace(self, reading=reading)

    def __or__(self, other: Form) -> Form:
        """Return the form that accepts either; the first one's meaning stays."""
        chosen = {name: getattr(self, name) or getattr(other, name) for name in _JOINED}
        extensible = self.extensible and other.extensible
        return replace(self, kinds=self.kinds | other.kinds, extensible=extensible, **chosen)


_JOINED = ("choices", "pattern", "listed", "items", "distinct", "values", "names", "closed", "record", "required", "opened")

RESOURCE_NAME = r"^[a-zA-Z0-9._-]+$"
ANY_NAME = r"^.+$"


def scalar(*kinds: Kind, reading: Reading = Reading.AS_IS) -> Form:
    """Return the form of a single value."""
    return Form(kinds=frozenset(kinds), reading=reading)


def one_of(*choices: str) -> Form:
    """Return the form of a string from a closed list."""
    return replace(TEXT, choices=choices)


def matching(pattern: str) -> Form:
    """Return the form of a string that contains a match of the pattern."""
    return replace(TEXT, pattern=pattern)


def list_of(items: Form | None = None, *, distinct: bool = False, reading: Reading = Reading.AS_IS) -> Form:
    """Return the form of a list; without `items` the items have their own row."""
    return Form(listed=True, items=items, distinct=distinct, reading=reading)


def map_of(
    values: Form | None = None, *, names: str = ANY_NAME, closed: bool = False, reading: Reading = Reading.AS_IS
) -> Form:
    """Return the form of a mapping from freely chosen names; without `values` these have their own row."""
    return Form(names=names, values=values, closed=closed, reading=reading)


def record(*required: str, extensible: bool = True, opened: bool = False) -> Form:
    """Return the form of a mapping with named attributes."""
    return Form(record=True, required=required, extensible=extensible, opened=opened)


NULL = scalar(Kind.NULL)
TEXT = scalar(Kind.STRING, reading=Reading.TEXT)
NULLABLE_TEXT = TEXT | NULL
FLAG = scalar(Kind.BOOLEAN, Kind.STRING, reading=Reading.FLAG)
STRICT_FLAG = scalar(Kind.BOOLEAN, reading=Reading.FLAG)
WHOLE = scalar(Kind.INTEGER, Kind.STRING, reading=Reading.INTEGER)
NUMBER = scalar(Kind.NUMBER, Kind.STRING, reading=Reading.INTEGER)
FRACTION = scalar(Kind.NUMBER, Kind.STRING, reading=Reading.FLOAT)
BYTES = scalar(Kind.NUMBER, Kind.STRING, reading=Reading.BYTES)
WHOLE_BYTES = scalar(Kind.INTEGER, Kind.STRING, reading=Reading.BYTES)
TEXT_BYTES = scalar(Kind.STRING, reading=Reading.BYTES)
DURATION = scalar(Kind.STRING, reading=Reading.DURATION)
TEXT_OR_NUMBER = scalar(Kind.STRING, Kind.NUMBER, reading=Reading.TEXT)

TEXTS = list_of(TEXT, reading=Reading.TEXTS)
DISTINCT_TEXTS = list_of(TEXT, distinct=True, reading=Reading.TEXTS)
TEXT_OR_TEXTS = DISTINCT_TEXTS | TEXT
DISTINCT_NUMBERS = list_of(TEXT_OR_NUMBER, distinct=True, reading=Reading.TEXTS)
COMMAND = (TEXTS | TEXT | NULL).read(Reading.COMMAND)

_ANY_SCALAR = scalar(Kind.STRING, Kind.NUMBER, Kind.BOOLEAN, Kind.NULL)
PAIRS = (map_of(_ANY_SCALAR, closed=True) | DISTINCT_TEXTS).read(Reading.MAPPING)
ENVIRONMENT = PAIRS.read(Reading.ENVIRONMENT)
OPTIONS = map_of(scalar(Kind.STRING, Kind.NUMBER), reading=Reading.MAPPING)
NULLABLE_OPTIONS = map_of(scalar(Kind.STRING, Kind.NUMBER, Kind.NULL), reading=Reading.MAPPING)
TEXT_OPTIONS = map_of(TEXT, closed=True, reading=Reading.MAPPING)
HOSTS = (map_of(TEXT | TEXTS, closed=True) | DISTINCT_TEXTS).read(Reading.HOSTS)
