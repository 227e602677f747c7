"""Who said it, and where is that written down? What a person says stands in the audit log, whatever comes of it."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.cli.printing import say
from reconciler.errors import ReconcilerError
from reconciler.model.audit import Entry, Kind, Result

if TYPE_CHECKING:
    from reconciler.ports import Store


def login() -> str:
    """Return who this process belongs to, as the machine knows them; the environment could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def write_down(
    store: Store,
    at: datetime,
    verb: str,
    said: Mapping[str, str],
    *,
    reason: str = "",
    revision: str = "",
    error: str = "",
    by: str = "",
) -> None:
    """Write down that a verb was said, and in words what of each target; `by` is the login unless somebody else is named.

    It has happened by now: a log that cannot be written is complained of, and nothing else.
    """
    by, outcome = by or login(), Result.FAILED if error else Result.DONE
    reasons = (reason,) if reason else ()
    entries = [
        Entry(at, Kind.WORD, verb, target, text, by, revision=revision, reasons=reasons, outcome=outcome, error=error)
        for target, text in said.items()
    ]
    try:
        if entries:
            store.audit(entries)
    except ReconcilerError as problem:
        say(f"warning: it is not in the audit log: {problem}\n", sys.stderr)
