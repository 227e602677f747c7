"""Do the verbs say what a person needs to know? ACCEPT=1 rewrites the transcripts: `git diff` is then the review."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest
from reader import Reader
from transcript import parse, render, replay

TRANSCRIPTS = sorted((Path(__file__).parent / "reading").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_verbs_say_what_the_transcript_says(path: Path) -> None:
    recorded, reader = path.read_text(), Reader()
    played = render(replay(parse(recorded), reader.say))
    if os.environ.get("ACCEPT"):
        path.write_text(played)
        recorded = played
    changed = difflib.unified_diff(recorded.splitlines(), played.splitlines(), "recorded", "played", lineterm="")
    assert played == recorded, "\n" + "\n".join(changed)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_no_verb_ever_says_a_secret(path: Path) -> None:
    told = (line for step in parse(path.read_text()) for line in step.output)
    assert not any("hunter" in line for line in told)
