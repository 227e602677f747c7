"""Does every bad text get its whole message, quickly and without filling the memory?"""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_texts import bad_texts, refusal
from cost import assert_cheap


@pytest.mark.parametrize("path", bad_texts(), ids=lambda path: path.stem)
def test_a_bad_text_is_refused_with_this_message(path: Path, tmp_path: Path) -> None:
    assert refusal(path, tmp_path) == path.with_suffix(".expected").read_text("utf-8")


def test_there_are_thirty_three_of_them() -> None:
    assert [path.name[:3] for path in bad_texts()] == [f"B{number:02}" for number in range(1, 34)]


@pytest.mark.parametrize("path", bad_texts(), ids=lambda path: path.stem)
def test_a_bad_text_costs_less_than_a_second_and_200_megabytes(path: Path) -> None:
    assert_cheap(Path(__file__).with_name("bad_texts.py"), path)
