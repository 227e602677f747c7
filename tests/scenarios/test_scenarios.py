"""Does the whole loop behave as its transcripts say? ACCEPT=1 rewrites them: `git diff` is then the review."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import Stage
from transcript import hold_to

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_loop_does_what_the_transcript_says(path: Path) -> None:
    stage = Stage()
    hold_to(path, stage.say)
    assert stage.world.audit() == ()
