"""Read the tables of answers that stand in conformance/."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import settings

TABLES = Path(__file__).parent / "conformance"
FUZZ_EXAMPLES = int(os.environ.get("RECONCILER_FUZZ_EXAMPLES", "200"))

# The time of one example varies with what else runs; that each input is cheap is tested by itself.
fuzzed = settings(max_examples=FUZZ_EXAMPLES, deadline=None)


def table(name: str) -> list[dict[str, Any]]:
    """Return the rows of one table."""
    rows: list[dict[str, Any]] = json.loads((TABLES / f"{name}.json").read_text("utf-8"))
    return rows


def wanted(row: dict[str, Any]) -> Any:
    """Return what we are to answer: "error", or a value."""
    if "ours" in row:
        return row["ours"]
    return "error" if row.get("error") else row["expect"]
