"""How do the history and a turn stand in the database: as JSON, and back?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

from reconciler.model.history import Backoff, HashKey, History, Overrule, Quarantine, Rollback, Suspension
from reconciler.model.rollout import Progress, Say, Stage, Tally, Word
from reconciler.model.status import Health, Operation, ServiceStatus, StackStatus, Sync, Turn


def history_document(history: History) -> str:
    """Return the history as JSON, without its key."""
    document = asdict(replace(history, key=HashKey("", b""), replaced={}))
    del document["key"]
    document["pulled"] = sorted(history.pulled)
    document["replaced"] = [[*key, count] for key, count in history.replaced.items()]
    return json.dumps(document, default=str)


def read_history(text: str, key: HashKey) -> History:
    """Return the history that a document tells. Raises ValueError, KeyError or TypeError for one that is damaged."""
    document = json.loads(text)
    return History(
        key=key,
        fresh=document["fresh"],
        attempted=document["attempted"],
        applied=document["applied"],
        manual=document["manual"],
        # An older version, which may still be at work beside us, writes none; nor does it write what stands below.
        behind=document.get("behind", {}),
        quarantine={name: _quarantine(one) for name, one in document["quarantine"].items()},
        heals=_backoffs(document["heals"]),
        retries=_backoffs(document["retries"]),
        pulled=frozenset(document["pulled"]),
        ran={name: tuple(images) for name, images in document["ran"].items()},
        jobs={name: tuple(specs) for name, specs in document["jobs"].items()},
        retried=_times(document["retried"]),
        replaced={(slot, spec): count for slot, spec, count in document["replaced"]},
        updated=_times(document["updated"]),
        asked=_times(document["asked"]),
        overruled={name: Overrule(one["revision"], one["reason"]) for name, one in document["overruled"].items()},
        suspended={name: _suspension(one) for name, one in document["suspended"].items()},
        rollbacks={name: _rollback(one) for name, one in document["rollbacks"].items()},
        handed=_times(document.get("handed", {})),
        drains=_times(document.get("drains", {})),
        rollouts={name: _progress(one) for name, one in document.get("rollouts", {}).items()},
        words={name: _word(one) for name, one in document.get("words", {}).items()},
    )


def _quarantine(row: Mapping[str, Any]) -> Quarantine:
    return Quarantine(**{**row, "at": _time(row["at"]), "last_words": tuple(row.get("last_words", ()))})


def _backoffs(rows: Mapping[str, Any]) -> dict[str, Backoff]:
    return {key: Backoff(one["attempts"], _time(one["last"]), _time(one["next"]), one["why"]) for key, one in rows.items()}


def _suspension(row: Mapping[str, Any]) -> Suspension:
    return Suspension(row["reason"], _time(row["since"]), _time(row["until"]) if row["until"] else None)


def _rollback(row: Mapping[str, Any]) -> Rollback:
    return Rollback(**{**row, "services": tuple(row["services"]), "at": _time(row["at"])})


def _progress(row: Mapping[str, Any]) -> Progress:
    begun = {name: Tally(**one) for name, one in row["begun"].items()}
    heard = _word(row["heard"]) if row["heard"] else None
    return Progress(**{**row, "stage": Stage(row["stage"]), "since": _time(row["since"]), "begun": begun, "heard": heard})


def _word(row: Mapping[str, Any]) -> Word:
    return Word(Say(row["say"]), _time(row["at"]), row["reason"])


def _times(rows: Mapping[str, str]) -> dict[str, datetime]:
    return {key: _time(text) for key, text in rows.items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def turn_document(turn: Turn, stacks: str) -> str:
    """Return a turn as JSON, its stacks being JSON already."""
    told = {field.name: getattr(turn, field.name) for field in fields(turn) if field.name != "stacks"}
    return f'{json.dumps(told, default=_plain)[:-1]}, "stacks": {stacks}}}'


def stacks_document(stacks: tuple[StackStatus, ...]) -> str:
    """Return the status of stacks as JSON."""
    return json.dumps(stacks, default=_plain)


def _plain(value: object) -> object:
    """A turn tells of a thousand services: `asdict` would copy all of it first."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def read_turn(text: str) -> Turn:
    """Return the turn that a document tells. Raises ValueError, KeyError or TypeError for one that is damaged."""
    document = json.loads(text)
    return Turn(
        **{
            **document,
            "started": _time(document["started"]),
            "finished": _time(document["finished"]),
            "operation": Operation(document["operation"]),
            "failed": tuple(document["failed"]),
            "stacks": tuple(map(_stack, document["stacks"])),
        }
    )


def _stack(document: Mapping[str, Any]) -> StackStatus:
    services = tuple(map(_service, document["services"]))
    return StackStatus(document["name"], Sync(document["sync"]), Health(document["health"]), services)


def _service(document: Mapping[str, Any]) -> ServiceStatus:
    since = _time(document["since"]) if document["since"] else None
    return ServiceStatus(**{**document, "sync": Sync(document["sync"]), "health": Health(document["health"]), "since": since})
