"""Does the whole loop behave as its transcripts say? ACCEPT=1 rewrites them: `git diff` is then the review."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("stage")

from stage import Stage  # noqa: E402 -- the line above must come first
from transcript import parse, render, replay  # noqa: E402

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_loop_does_what_the_transcript_says(path: Path) -> None:
    recorded = path.read_text()
    stage = Stage()
    played = render(replay(parse(recorded), stage.say))
    if "ACCEPT" in os.environ:
        path.write_text(played)
    assert played == recorded or "ACCEPT" in os.environ
    assert stage.world.audit() == ()
