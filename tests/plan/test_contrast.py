"""Every file in contrasts/ is a sentence and a small world; its expectation is what `diff` prints. ACCEPT=1 rewrites them."""

from __future__ import annotations

from pathlib import Path

import pytest
from printed import hold_to, printed_contrasts, read_case

CASES = sorted((Path(__file__).parent / "contrasts").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_difference_is_printed_as_the_case_says(path: Path) -> None:
    hold_to(path, "diff", printed_contrasts(read_case(path)))
