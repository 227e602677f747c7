"""What did a container write before it failed? Kept, because the container itself goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.errors import ReconcilerError
from reconciler.model.masking import masked
from reconciler.model.plan import Failure
from reconciler.ports import Runtime

MOST_LINES = 20
MOST_CHARACTERS = 400
"""A line that is longer is cut: a stack trace on one line must not fill the state directory."""


def heard(runtime: Runtime, failures: Iterable[Failure], secrets: frozenset[str]) -> tuple[Failure, ...]:
    """Return the failures with the last lines of their containers, oldest first, known secrets masked.

    A container that is gone, or whose log driver lets nobody read, has none.
    """
    return tuple(replace(one, last_words=_last_words(runtime, one.instance, secrets)) for one in failures)


def _last_words(runtime: Runtime, instance: str, secrets: frozenset[str]) -> tuple[str, ...]:
    try:
        texts = [line.text for line in runtime.logs(instance, tail=MOST_LINES)] if instance else []
    except ReconcilerError:
        return ()
    return tuple(_cut(masked(text, secrets)) for text in texts if text.strip())


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
