"""How does what a person wrote become one of our models, and what do they read when it does not fit?"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from reconciler.errors import InvalidState, Problem
from reconciler.load.excerpt import suggest
from reconciler.load.notes import Path
from reconciler.load.places import Marks, problem_at


class Written(BaseModel):
    """A mapping in one of our own formats: every key is known, and only text may stand for a number or a flag."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Codes:
    """The error codes of one format, one per kind of mistake."""

    unknown_key: str
    wrong_kind: str
    missing_key: str
    refused_value: str


Model = TypeVar("Model", bound=Written)


def read(model: type[Model], data: object, marks: Marks, at: Path, codes: Codes) -> Model:
    """Return the model that the data at the path says. Raises InvalidState with every mistake in it.

    `marks` says where each path of the whole document stands; the nearest known ancestor answers for the rest.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise InvalidState([_problem(model, data, detail, marks, at, codes) for detail in details])


def refused(message: str, hint: str = "") -> PydanticCustomError:
    """Return the error that a validator of ours raises: what is wrong with a value of the right kind, and what to do."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def wrong_kind(expected: str) -> PydanticCustomError:
    """Return the error that a validator of ours raises when the value is of a kind it cannot take."""
    return PydanticCustomError("wrong_kind", "{expected}", {"expected": expected})


def _problem(model: type[Written], data: object, detail: ErrorDetails, marks: Marks, at: Path, codes: Codes) -> Problem:
    within = tuple(_within(data, detail))
    path = (*at, *within)
    code, message, hint = _words(model, path, within, detail, codes)
    return problem_at(code, message, marks, path, hint)


def _within(data: object, detail: ErrorDetails) -> Iterator[int | str]:
    """Yield the parts of pydantic's location that are parts of the document; the others name branches of a union."""
    for part in detail["loc"]:
        if (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int)):
            data = data[part]  # type: ignore[index]  # the part was just found there
            yield part
    if detail["type"] == "missing":
        yield detail["loc"][-1]


def _words(model: type[Written], path: Path, within: Path, detail: ErrorDetails, codes: Codes) -> tuple[str, str, str]:
    """Return code, message and hint. No message holds the value: it may come from interpolation and be a secret."""
    kind, context, name = detail["type"], detail.get("ctx", {}), _named(path)
    match kind:
        case "extra_forbidden":
            return codes.unknown_key, f'unknown key "{within[-1]}"', suggest(str(within[-1]), _keys(model, within[:-1]))
        case "missing":
            return codes.missing_key, f'the key "{within[-1]}" is missing', ""
        case "refused":
            return codes.refused_value, f"{name}: {context['message']}", context["hint"]
        case "literal_error":
            choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
            meant = suggest(detail["input"], choices) if isinstance(detail["input"], str) else ""
            return codes.refused_value, f"{name} must be one of {', '.join(choices)}", meant
    if kind in _BOUNDS:
        return codes.refused_value, f"{name} must be {_BOUNDS[kind].format(**context)}", ""
    expected = context["expected"] if kind == "wrong_kind" else _EXPECTED[kind]
    return codes.wrong_kind, f"{name} must be {expected}, found {found(detail['input'])}", ""


_BOUNDS = {
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
}
_EXPECTED = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of a sane size",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
}


def found(value: object) -> str:
    """Name the kind of a value, without the value."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _named(path: Path) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "the document")
    return f"an entry of {name}" if path and isinstance(path[-1], int) else name


def _keys(annotation: object, path: Path) -> tuple[str, ...]:
    """Return the keys that the model allows where the path leads."""
    for part in path:
        annotation = _below(annotation, part)
    model = model_in(annotation)
    return tuple(_fields(model)) if model else ()


def _below(annotation: object, part: str | int) -> object:
    model = model_in(annotation)
    if model is None or _holds_many(annotation):
        return model
    return _fields(model).get(str(part))


def _fields(model: type[Written]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def model_in(annotation: object) -> type[Written] | None:
    """Return the model somewhere in an annotation such as `dict[str, Stack] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Written):
        return annotation
    return next((model for argument in get_args(annotation) if (model := model_in(argument))), None)


def _holds_many(annotation: object) -> bool:
    """Say whether the model stands in a mapping or list, so that the next part of a path is a name or an index."""
    origin = get_origin(annotation)
    branches = get_args(annotation) if origin in (Union, types.UnionType, Annotated) else ()
    return origin in (dict, tuple) or any(_holds_many(branch) for branch in branches)
