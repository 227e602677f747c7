"""How do the keys of our formats read as a page?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.load.schemas import Schema

_HEAD = "| key | value | default | says |\n|---|---|---|---|\n"


def tables(schema: Schema, first: str) -> str:
    """Return a section for each mapping of a published schema, the definition named `first` (or the top) first."""
    definitions: Mapping[str, Schema] = schema["$defs"]
    start = definitions.get(first, schema)
    return "\n".join(_sections({first: start, **_reached(start, definitions)}))


def _reached(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definitions a schema leads to, in the order a reader meets them."""
    found: dict[str, Schema] = {}
    for name in _references(schema):
        found.setdefault(name, definitions[name])
        for inner, definition in _reached(definitions[name], definitions).items():
            found.setdefault(inner, definition)
    return found


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": reference}:
            yield reference.rpartition("/")[2]
        case dict():
            for child in value.values():
                yield from _references(child)
        case list():
            for child in value:
                yield from _references(child)


def _sections(definitions: Mapping[str, Schema]) -> Iterator[str]:
    for name, definition in definitions.items():
        required = definition.get("required", ())
        rows = "".join(_row(key, field, key in required) for key, field in definition["properties"].items())
        yield f"### {name}\n\n{definition.get('description', '')}\n\n{_HEAD}{rows}"


def _row(key: str, field: Schema, required: bool) -> str:
    cells = (f"`{key}`", _value(field), "needed" if required else _default(field), field.get("description", ""))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "") or isinstance(default, dict | list | tuple):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _value(field: Schema) -> str:
    """Name what may be written: kinds in words, choices as they are, other mappings by their section."""
    either: list[Schema] = field.get("anyOf") or field.get("oneOf") or []
    branches = [branch for branch in either if not _is_incidental(branch)]
    if branches:
        return " or ".join(dict.fromkeys(_value(branch) for branch in branches))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field or "const" in field:
        return ", ".join(f"`{choice}`" for choice in field.get("enum", [field.get("const")]))
    if "pattern" in field:
        return "share" if "%" in field["pattern"] else "duration"
    return _kind(field)


def _is_incidental(branch: Schema) -> bool:
    """Nothing, which leaves a key at its default, and a variable that Compose replaces first."""
    return branch.get("type") == "null" or branch.get("pattern") == r"\$"


def _kind(field: Schema) -> str:
    match field.get("type"):
        case "object":
            return f"name: {_value(field['additionalProperties'])}"
        case "array":
            return f"list of {_value(field['items'])}"
        case list(kinds):
            return " or ".join(_WORDS[kind] for kind in kinds if kind != "null")
        case kind:
            return _WORDS[str(kind)]


_WORDS = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}
