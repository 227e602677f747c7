"""Does the whole loop behave as its transcripts say? ACCEPT=1 rewrites them: `git diff` is then the review."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest
from stage import Stage
from transcript import parse, render, replay

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_loop_does_what_the_transcript_says(path: Path) -> None:
    recorded, stage = path.read_text(), Stage()
    played = render(replay(parse(recorded), stage.say))
    if os.environ.get("ACCEPT"):
        path.write_text(played)
        recorded = played
    changed = difflib.unified_diff(recorded.splitlines(), played.splitlines(), "recorded", "played", lineterm="")
    assert played == recorded, "\n" + "\n".join(changed)
    assert stage.world.audit() == ()
