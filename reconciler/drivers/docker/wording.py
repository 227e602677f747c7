"""What is a change called in a message, and what of it must not stand there?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.model.plan import (
    CreateInstance,
    CreateNetwork,
    CreateVolume,
    EngineChange,
    FillVolume,
    PullImage,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    RunHook,
)


def doing(change: EngineChange) -> str:
    """Return the beginning of a message: `start instance shop-web-1`."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(change).__name__).lower()
    return f"{words} {_name(change)}"


def hidden(change: EngineChange) -> tuple[str, ...]:
    """Return the values that may be secrets and that an engine may repeat when it refuses the change."""
    match change:
        case CreateInstance():
            return values(change.payload.get("Env") or ())
        case RunHook():
            return values(change.hook.environment)
        case _:
            return ()


def values(variables: Iterable[str]) -> tuple[str, ...]:
    """Return the values of `NAME=value` variables, any of which may be a secret."""
    return tuple(variable.partition("=")[2] for variable in variables)


def _name(change: EngineChange) -> str:
    match change:
        case CreateNetwork(network, _):
            return network.name
        case CreateInstance(name) | RemoveNetwork(_, name) | CreateVolume(name) | RemoveVolume(name) | FillVolume(name):
            return name
        case PullImage(reference) | RemoveImage(reference):
            return reference
        case _:
            return change.target.name
