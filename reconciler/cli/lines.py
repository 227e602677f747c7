"""Which JSON Schemas describe the lines that we write, for programs that read them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.audit import VERSION
from reconciler.cli.journal import Event, Level
from reconciler.model.audit import Kind, Result
from reconciler.model.plan import Verb
from reconciler.model.status import Operation

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _object(properties: Mapping[str, Schema]) -> Schema:
    """Every key is always there, and no other."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _time(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _texts(description: str) -> Schema:
    return _list({"type": "string"}, description)


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _line(title: str, properties: Mapping[str, Schema]) -> Schema:
    return {"$schema": _DIALECT, "title": title, **_object(properties)}


def _event(event: Event, properties: Mapping[str, Schema]) -> Schema:
    common = {
        "at": _time("when, UTC"),
        "level": {"enum": list(Level)},
        "event": {"const": event},
        "message": _text("what people read first"),
    }
    return _object({**common, **properties})


AUDIT = _line(
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

_ERROR = {"error": _text("what is wrong, empty where nothing is"), "hint": _text("what to do about it")}

_TURN = {
    "woke": _text("what woke the turn"),
    "operation": {"enum": list(Operation)},
    "revision": _text("id of the newest valid commit"),
    "applied": _text("id of the last commit that was applied whole"),
    "done": _texts("ids of the actions that were done"),
    "failed": _list(_object({"action": _text("its id"), "error": _text("what the engine said")}), "actions that failed"),
    "groups": _list(
        _object(
            {
                "key": _text("STACK/SERVICE or another part of a stack"),
                "verb": {"enum": list(Verb)},
                "title": _text("what happens to it"),
                "reasons": _texts("why"),
            }
        ),
        "what the plan changes",
    ),
    "blocked": _list(
        _object({"group": _text("what is held back"), "code": _text("see the errors page"), "message": _text("why")}),
        "what a person must decide",
    ),
    **_ERROR,
}

LOG: Schema = {
    "$schema": _DIALECT,
    "title": "a line of `run --log-format json`",
    "oneOf": [
        _event(Event.TURN, _TURN),
        _event(Event.LEASE, {"holder": _text("who holds the lease"), "until": _time("when it ends unless it is renewed")}),
        _event(Event.TROUBLE, _ERROR),
    ],
}
