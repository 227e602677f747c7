"""Which JSON Schemas describe the lines that we write, for programs that read them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.audit import VERSION
from reconciler.model.audit import Kind, Result

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}


def _of_lines(title: str, properties: Mapping[str, Schema]) -> Schema:
    """Every key stands in every line, and no other."""
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _time(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _texts(description: str) -> Schema:
    return {**_TEXTS, "description": description}


AUDIT = _of_lines(
    "a line of the audit log",
    {
        "v": {"const": VERSION, "description": "version of this format"},
        "number": {"type": "integer", "minimum": 1, "description": "1 for the first line, one more for each after it"},
        "previous": {
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
            "description": "SHA-256 of the line before, without its newline; zeros in the first",
        },
        "at": _time("when it was written down, UTC"),
        "kind": {"enum": list(Kind), "description": "a turn that is about to act, an action's end, a person's word, a note"},
        "what": _text("id of the action, the verb that was said, or what a note is about"),
        "target": _text("a stack, STACK/SERVICE or another part of a stack; * for the environment"),
        "text": _text("in words: what it did, or what was said"),
        "by": _text("author of the commit that asks for it, or login of the person"),
        "woke": _text("what woke the turn"),
        "revision": _text("id of the commit that it was done for"),
        "reasons": _texts("why"),
        "outcome": {"enum": list(Result), "description": "empty where nothing can be said yet"},
        "error": _text("what went wrong"),
        "actions": _texts("ids of the actions that are begun"),
    },
)
