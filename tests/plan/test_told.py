"""Every file in told/ is a sentence and a small world; its expectation is what the engine is told. ACCEPT=1 rewrites them."""

from __future__ import annotations

from pathlib import Path

import pytest
from printed import hold_to, read_case, told

CASES = sorted((Path(__file__).parent / "told").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_engine_is_told_what_the_case_says(path: Path) -> None:
    hold_to(path, "told", told(read_case(path)))
