"""Who acts when the engine says no?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler.errors import Conflict, ReconcilerError, Refused, Unreachable
from reconciler.model.masking import masked

LONGEST_MESSAGE = 500


class Rejected(Exception):
    """The engine answered with an error. Lives inside this package only: `translated` turns it into ours."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Rule:
    """An engine's message that says more than its status does. `statuses` () means any."""

    statuses: tuple[int, ...]
    pattern: re.Pattern[str]
    kind: type[ReconcilerError]
    hint: str = ""


@contextmanager
def translated(doing: str, hidden: Iterable[str] = ()) -> Iterator[None]:
    """Turn the engine's refusals into ours, said as `doing: what the engine said`, with `hidden` values masked."""
    try:
        yield
    except Rejected as rejected:
        raise ours(rejected, doing, hidden) from None


def ours(rejected: Rejected, doing: str, hidden: Iterable[str] = ()) -> ReconcilerError:
    """Sort a refusal by who acts."""
    message = f"{doing}: {one_line(rejected.text, hidden) or f'the engine answered {rejected.status}'}"
    for rule in RULES:
        if (not rule.statuses or rejected.status in rule.statuses) and rule.pattern.search(rejected.text):
            return rule.kind(message, hint=rule.hint)
    return _BY_STATUS.get(rejected.status, Refused)(message)


def one_line(text: str, hidden: Iterable[str] = ()) -> str:
    """Return the text in one line that can be shown: no control characters, no credentials, not endless."""
    text = _USERINFO.sub(r"\1***@", masked(text, hidden))
    return " ".join(_CONTROL.sub(" ", text).split())[:LONGEST_MESSAGE]


_USERINFO = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_BY_STATUS: dict[int, type[ReconcilerError]] = {
    404: Conflict,
    409: Conflict,
    429: Unreachable,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}


def _rule(statuses: tuple[int, ...], pattern: str, kind: type[ReconcilerError], hint: str = "") -> Rule:
    return Rule(statuses, re.compile(pattern, re.IGNORECASE), kind, hint)


# The first that matches decides. The engine passes an image registry's answers on as 404 or 500 with their text.
RULES = (
    _rule((), r"toomanyrequests|too many requests", Unreachable, "the image registry limits pulls: log in, or use a mirror"),
    _rule(
        (401, 403, 404, 500),
        r"unauthorized|\bdenied\b|authentication required|no basic auth",
        Refused,
        "check the image's name and run `docker login` for its registry as the user who runs this",
    ),
    _rule((404, 500), r"manifest unknown|not found: manifest|manifest for .* not found|no matching manifest", Refused),
    _rule((404,), r"no such image", Refused, "pull the image, or correct its name"),
    _rule((), r"port is already allocated|address already in use", Refused, "another program holds this host port"),
    _rule((), r"no space left on device", Refused, "free space where the engine keeps its data (`docker system df`)"),
    _rule((403, 409, 500), r"has active endpoints", Refused, "containers are attached: see `docker network inspect`"),
    _rule((403, 409, 500), r"already exists in network|is not connected to|not connected to network", Conflict),
    _rule((409,), r"volume is in use", Refused, "containers mount this volume: remove them first"),
    _rule((409,), r"volume (name must be unique|already exists)", Refused, "a volume of this name is there, made otherwise"),
    _rule((500,), r"read-only", Refused, "deliver the file through a volume"),
    _rule(
        (500,),
        r"time-?out|deadline exceeded|no such host|connection re(fused|set)|unexpected EOF|: EOF|server misbehaving"
        r"|temporary failure|bad gateway|service unavailable|internal server error|network is unreachable|context canceled",
        Unreachable,
    ),
)
