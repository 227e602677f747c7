"""Every file in cases/ is a sentence and a small world; its expectation is the printed plan. ACCEPT=1 rewrites them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from printed import printed_plan, read_case

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_is_printed_as_the_case_says(path: Path) -> None:
    plan = printed_plan(read_case(path))
    if os.environ.get("ACCEPT"):
        _accept(path, plan)
    assert plan == read_case(path)["plan"]


def _accept(path: Path, plan: str) -> None:
    kept = path.read_text().split("\nplan: |\n")[0].rstrip("\n")
    path.write_text(f"{kept}\nplan: |\n" + "".join(f"  {line}\n" for line in plan.splitlines()))
