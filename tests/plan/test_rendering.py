"""What is the one plan of rendered/ as Markdown for a pull request, and as data for programs? ACCEPT=1 rewrites both."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from printed import planned, read_case

from reconciler.model.plan import Plan
from reconciler.plan import render

HERE = Path(__file__).parent / "rendered"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(read_case(HERE / "plan.yaml"))


def test_a_plan_as_markdown(plan: Plan) -> None:
    _hold_to(HERE / "plan.md", render.markdown(plan))


def test_a_plan_as_data(plan: Plan) -> None:
    _hold_to(HERE / "plan.json", json.dumps(render.data(plan, "the-mark"), indent=2, ensure_ascii=False) + "\n")


def _hold_to(path: Path, text: str) -> None:
    if os.environ.get("ACCEPT"):
        path.write_text(text)
    assert text == path.read_text()
