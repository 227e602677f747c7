"""How is a plain document written as YAML that every reader understands alike?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.load.scalars import is_date, resolve

# Text that needs no quotes in any version of YAML; what resolves to something else is looked at besides.
_PLAIN = re.compile(
    r"[A-Za-z0-9_./(\\][^\s:#\[\]{},\"'`&*!|>%@\x00-\x1f\x7f-\x9f]*(?:[ :][^\s:#\[\]{},\"'`\x00-\x1f\x7f-\x9f]+)*\Z"
)
_OLD_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "="))
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_:.]*\Z")
_BLOCK = re.compile(r"(?![\s#])[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]*[^\s\x00-\x1f]\n?\Z")


def yaml_lines(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping in block style, without line ends, in the mapping's order."""
    for name, child in value.items():
        yield from _entry(f"{indent}{_text(name)}:", child, indent)


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    match value:
        case dict() if value:
            yield head
            yield from yaml_lines(value, f"{indent}  ")
        case list() if value:
            yield head
            for item in value:
                yield from _item(item, f"{indent}  ")
        case str() if "\n" in value and _BLOCK.match(value):
            yield f"{head} |{'' if value.endswith(chr(10)) else '-'}"
            for line in value.removesuffix("\n").split("\n"):
                yield f"{indent}  {line}" if line else ""
        case _:
            yield f"{head} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    match value:
        case dict() if value:
            first, *rest = yaml_lines(value, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        case list() if value:
            yield f"{indent}-"
            for item in value:
                yield from _item(item, f"{indent}  ")
        case _:
            yield from _entry(f"{indent}-", value, indent)


def _scalar(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case dict():
            return "{}"
        case list():
            return "[]"
        case _:
            return json.dumps(value)


def _text(text: str) -> str:
    plain = _PLAIN.match(text) and not _means_more(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _means_more(text: str) -> bool:
    return resolve(text) != text or is_date(text) or text.lower() in _OLD_WORDS or bool(_SIXTIES.match(text))
