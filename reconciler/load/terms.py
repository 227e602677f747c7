"""Which kinds of value do our own formats share: durations, shares, names, paths, schedules?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.errors import InvalidState
from reconciler.load.schedule import cron_mistake, time_zone_known
from reconciler.load.values import format_duration, parse_bytes, parse_duration
from reconciler.load.written import Written, refused, wrong_kind

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")
_URL_PATH = re.compile(r"/[^\s?#\x00-\x1f\x7f]*")
_HTTP_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/[\w./~-]*)?")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_NANOSECONDS = 1_000_000_000


def _no_flag(value: object) -> object:
    # In Python, and so in pydantic, true is the number 1; in YAML it is a mistake.
    if isinstance(value, bool):
        raise wrong_kind("a number")
    return value


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise wrong_kind("true or false")


def _name(text: str) -> str:
    # It becomes part of labels, file names and names of engine objects.
    if not _NAME.fullmatch(text):
        raise refused("a name has letters, digits and `_.-`, begins with a letter or digit, and has at most 63 of them")
    return text


def _seconds(value: object) -> float:
    """Read `1h30m` (or 0) as seconds. The schema says text; a bare number has no unit and is refused."""
    if not isinstance(value, str):
        raise wrong_kind("a string with a unit such as 30s or 1h30m")
    try:
        seconds = parse_duration(value) / _NANOSECONDS
    except InvalidState as error:
        raise refused(error.problems[0].message, "such as 30s, 10m or 1h30m") from None
    if seconds < 0:
        raise refused("a duration cannot be negative")
    return seconds


def _share(value: object) -> object:
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if not match or float(match[1]) > 100:
        raise refused("a share is a percentage from 0% to 100%", "such as 30%")
    return float(match[1]) / 100


def _share_or_count(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        return _share(value)
    raise wrong_kind("a share such as 30%, or a number of objects")


def _repository_path(text: str) -> str:
    """Refuse what leaves the repository. "." is its root."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if text.startswith(("/", "~")) or ".." in parts or "\\" in text:
        raise refused("the path leaves the repository", "write it relative to the repository's root, without `..`")
    return "/".join(parts)


def _absolute_path(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise refused("expected an absolute path without `..`")
    return text


def _url_path(text: str) -> str:
    if not _URL_PATH.fullmatch(text):
        raise refused("expected a path that begins with `/`, without spaces, `?` or `#`")
    return text


def http_url(text: str) -> str:
    """Return an address as it is compared: without a slash at its end."""
    if not _HTTP_URL.fullmatch(text):
        raise refused("expected an address without a user", "such as http://127.0.0.1:8500")
    return text.rstrip("/")


def _host_name(text: str) -> str:
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):
        raise refused("expected a host name", "letters, digits and hyphens between dots, such as shop.example.org")
    return text.lower()


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise wrong_kind("a size such as 256m")
    try:
        return parse_bytes(value)
    except InvalidState as error:
        raise refused(error.problems[0].message, "such as 256m or 1.5g") from None


def _date(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise refused("expected a date in quotes", 'such as "2026-05-31" or "2026-05-31T18:00:00+02:00"') from None
    return text


def _cron(text: str) -> str:
    if mistake := cron_mistake(text):
        raise refused(mistake, 'such as "0 8 * * 1-5"')
    return text


def _time_zone(text: str) -> str:
    if not time_zone_known(text):
        raise refused(f'there is no time zone "{text}"', "such as UTC or Europe/Berlin")
    return text


def _duration_text(seconds: float) -> str:
    """Write a default as people would: `10m`, not Go's `10m0s`."""
    text = format_duration(round(seconds * _NANOSECONDS))
    return re.sub(r"(?<=[hm])0[ms](?:0s)?$", "", text)


def _share_text(share: float) -> str:
    return f"{share * 100:g}%"


def _value(value: object) -> object:
    if isinstance(value, dict | list):
        raise wrong_kind("a string, a number, a boolean or nothing")
    return value


def _all_or_listed(value: object) -> object:
    return ["*"] * value if isinstance(value, bool) else _listed(value)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What may be written for a type: its JSON Schema, and how a value of it is written.

    pydantic's own marker for the schema costs 25 ms of imports.
    """

    schema: Mapping[str, Any]
    written: Callable[[Any], object] = lambda value: value

    def __get_pydantic_json_schema__(self, _core: object, _handler: object) -> dict[str, Any]:
        return dict(self.schema)


_TEXT_OR_LIST: dict[str, list[Any]] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$|^0$"}
_PERCENTAGE = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]+)?%$"}

Whole = Annotated[int, BeforeValidator(_no_flag)]
"""A whole number, also as the text that interpolation leaves."""
Number = Annotated[float, BeforeValidator(_no_flag), Field(allow_inf_nan=False)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Name = Annotated[str, AfterValidator(_name)]
Value = Annotated[Any, BeforeValidator(_value), Shape({"type": ["string", "number", "boolean", "null"]})]
"""What a variable may be set to."""
Duration = Annotated[float, BeforeValidator(_seconds), Shape(_DURATION, _duration_text)]
"""Seconds, written `1h30m`."""
Share = Annotated[float, BeforeValidator(_share), Shape(_PERCENTAGE, _share_text)]
"""A part of 1, written as a percentage."""
ShareOrCount = Annotated[
    float | int,
    BeforeValidator(_share_or_count),
    Shape({"anyOf": [{"type": "integer", "minimum": 0}, _PERCENTAGE]}, _share_text),
]
"""A share (float), or a number of objects (int)."""
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed), Shape(_TEXT_OR_LIST)]
"""A list of texts; a single text is a list of one."""
AllOrTexts = Annotated[
    tuple[str, ...],
    BeforeValidator(_all_or_listed),
    Shape({"anyOf": [{"type": "boolean"}, *_TEXT_OR_LIST["anyOf"]]}),
]
"""A list of texts; `true` is the list of `*`, which stands for all."""
RepositoryPath = Annotated[str, AfterValidator(_repository_path)]
"""A path in the repository, without `.`, `..` or a leading slash; "" is its root."""
AbsolutePath = Annotated[str, AfterValidator(_absolute_path)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
HostName = Annotated[str, AfterValidator(_host_name)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0), Shape({"type": ["integer", "string"]})]
"""Bytes, written `256m`."""
Date = Annotated[str, AfterValidator(_date)]
Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]


class Timetable(Written):
    """When something begins, and for how long."""

    schedule: Cron
    """Five cron fields: minute, hour, day of month, month, day of week."""
    duration: Duration
    """How long it lasts."""
    timezone: TimeZone = "UTC"
    """Time zone of `schedule`."""
