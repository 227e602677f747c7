"""Which samples of the gateway's counters stay in the database?"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from reconciler.model.traffic import KEPT_SAMPLES, MOST_SAMPLES, Sample


def keep(database: sqlite3.Connection, samples: Iterable[Sample]) -> None:
    """Write samples, and drop those that are too old beside them, or too many."""
    rows = [(one.at.timestamp(), json.dumps(asdict(one), default=str)) for one in samples]
    database.executemany("INSERT INTO samples (at, document) VALUES (?, ?)", rows)
    if rows:
        database.execute("DELETE FROM samples WHERE at < ?", (max(rows)[0] - KEPT_SAMPLES.total_seconds(),))
        database.execute("DELETE FROM samples WHERE number <= (SELECT MAX(number) FROM samples) - ?", (MOST_SAMPLES,))


def read(database: sqlite3.Connection) -> tuple[Sample, ...]:
    """Return the samples, oldest first. Raises ValueError, KeyError or TypeError for a damaged one."""
    rows = database.execute("SELECT document FROM samples ORDER BY at, number")
    return tuple(_sample(document) for (document,) in rows)


def _sample(text: str) -> Sample:
    document = json.loads(text)
    return Sample(**{**document, "at": datetime.fromisoformat(document["at"])})
