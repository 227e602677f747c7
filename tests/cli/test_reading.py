"""Do the verbs say what a person needs to know? ACCEPT=1 rewrites the transcripts: `git diff` is then the review."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader import Reader
from transcript import hold_to, parse

TRANSCRIPTS = sorted((Path(__file__).parent / "reading").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_verbs_say_what_the_transcript_says(path: Path) -> None:
    hold_to(path, Reader().say)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_no_verb_ever_says_a_secret(path: Path) -> None:
    told = (line for step in parse(path.read_text()) for line in step.output)
    assert not any("hunter" in line for line in told)
