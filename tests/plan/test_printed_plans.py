"""Every file in cases/ is a sentence and a small world; its expectation is the printed plan. ACCEPT=1 rewrites them."""

from __future__ import annotations

from pathlib import Path

import pytest
from printed import hold_to, printed_plan, read_case

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_plan_is_printed_as_the_case_says(path: Path) -> None:
    hold_to(path, "plan", printed_plan(read_case(path)))
