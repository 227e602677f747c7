"""Which JSON Schemas describe our formats, for editors and for those who generate them?"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from pydantic.json_schema import models_json_schema

from reconciler.load import environment, extensions, operator, terms
from reconciler.load.written import Written, model_in

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTERPOLATED: Schema = {"type": "string", "pattern": r"\$"}


def schemas() -> Mapping[str, Schema]:
    """Return every published schema by its file's name without the ending."""
    return {name: make() for name, make in _SCHEMAS.items()}


def keys(model: type[Written]) -> Iterator[tuple[str, str]]:
    """Yield each key of a model, and what its docstring says ("" without one)."""
    for name, field in model.model_fields.items():
        yield field.alias or name, _documented(model, name)


def _environment() -> Schema:
    return _of_model(environment.EnvironmentFile, "reconciler.yaml")


def _operator() -> Schema:
    schema = _of_model(operator.OperatorFile, "operator.yaml")
    policy = schema["properties"]["policy"]
    either = _or_text(schema["$defs"], "PolicyEntry", "preset")
    schema["properties"]["policy"] = {"description": policy["description"], **either}
    return schema


def _extensions() -> Schema:
    """A compose file as far as our `x-` keys go; everything else in it is Compose's."""
    models: tuple[type[Written], ...] = (*extensions.MODELS.values(), extensions.FileSettings)
    places, schema = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    definitions = _interpolated(_described(schema["$defs"]))
    references = {model: places[model, "validation"] for model in models}
    services = {key: references[model] for key, model in extensions.MODELS.items()}
    services["x-traffic"] = _or_text(definitions, "Traffic", "mode")
    pinned: Schema = {"properties": {"x-reconciler-pin": references[extensions.Pin]}}
    return {
        "$schema": _DIALECT,
        "title": "x- keys of a compose file",
        "type": "object",
        "properties": {
            extensions.FILE_KEY: references[extensions.FileSettings],
            "services": {"additionalProperties": {"properties": {"deploy": pinned, **services}}},
        },
        "$defs": definitions,
    }


_SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "environment": _environment,
    "extensions": _extensions,
    "operator": _operator,
}


def _of_model(model: type[Written], title: str) -> Schema:
    _, schema = models_json_schema([(model, "validation")], ref_template="#/$defs/{model}")
    definitions = _described(schema["$defs"])
    top = definitions.pop(model.__name__)
    return {"$schema": _DIALECT, **top, "title": title, "$defs": definitions}


def _or_text(definitions: Mapping[str, Schema], model: str, field: str) -> Schema:
    """Let a bare text stand for a mapping with this one field."""
    text = {key: value for key, value in definitions[model]["properties"][field].items() if key in ("anyOf", "enum", "type")}
    return {"anyOf": [text, {"$ref": f"#/$defs/{model}"}]}


def _described(definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Put our docstrings in, write defaults as people do, and take pydantic's titles, which only repeat names, out."""
    described: dict[str, Schema] = {name: _tidied(definition) for name, definition in sorted(definitions.items())}
    for model in _models():
        properties = _own_first(model, described.get(model.__name__, {}))
        for name, field in model.model_fields.items():
            described_field: Schema = properties.get(field.alias or name, {})
            if text := _documented(model, name):
                described_field["description"] = text
            shape = next((marker for marker in field.metadata if isinstance(marker, terms.Shape)), None)
            if shape and "default" in described_field:
                described_field["default"] = shape.written(field.default)
    return described


def _own_first(model: type[Written], definition: Schema) -> dict[str, Schema]:
    """Put what the model itself declares before what it inherits, and return the properties."""
    properties: dict[str, Schema] = definition.get("properties", {})
    own = {model.model_fields[name].alias or name for name in vars(model).get("__annotations__", {})}
    ordered = sorted(properties.items(), key=lambda item: item[0] not in own)
    properties.clear()
    properties.update(ordered)
    return properties


# pydantic names a bound so where a validator of ours stands between it and the type.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _tidied(schema: Any) -> Any:
    match schema:
        case dict():
            kept = {_BOUNDS.get(key, key): value for key, value in schema.items() if not _is_noise(key, value)}
            return {key: _tidied(value) for key, value in kept.items()}
        case list():
            return [_tidied(item) for item in schema]
        case _:
            return schema


def _is_noise(key: str, value: object) -> bool:
    # A property may be called `title`; a schema's own title is a text.
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def _interpolated(definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    """Let a text with a `$` stand wherever a scalar may: Compose replaces variables before we look."""
    return {name: _loosened(definition) for name, definition in definitions.items()}


def _loosened(schema: Schema) -> Schema:
    if "properties" in schema:
        properties = {name: _loosened(child) for name, child in schema["properties"].items()}
        return {**schema, "properties": properties}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*(_loosened(branch) for branch in schema["anyOf"]), _INTERPOLATED]}
    if "items" in schema:
        return {**schema, "items": _loosened(schema["items"])}
    restricted = schema.get("type") in ("integer", "number", "boolean") or {"enum", "const", "pattern"} & schema.keys()
    if not restricted:
        return schema
    outside: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    return {**outside, "anyOf": [inside, _INTERPOLATED]}


def _models() -> Iterator[type[Written]]:
    for module in (terms, environment, operator, extensions):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Written) and value.__module__ == module.__name__:
                yield value


def _documented(model: type[Written], name: str) -> str:
    """Return what stands under a field in the model that declares it, else what its own model is for."""
    holder = next(holder for holder in model.__mro__ if name in vars(holder).get("__annotations__", {}))
    text = _docstrings(inspect.getmodule(holder)).get((holder.__name__, name), "")
    inner = model_in(model.model_fields[name].annotation)
    return text or (inspect.getdoc(inner) or "" if inner else "")


@cache
def _docstrings(module: ModuleType) -> Mapping[tuple[str, str], str]:
    """Return the texts under the fields of every class of a module, by class and field."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[node.name, name] = words
    return found
