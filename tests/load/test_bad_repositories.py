"""Does every bad repository get its whole message, quickly and without filling the memory?

`ACCEPT=1` writes what is said now into the `.expected` files; the difference in Git is the review.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import pytest
from bad_repositories import BAD, NUMBERS, bad_repositories, refusal
from cost import assert_cheap

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", bad_repositories(), ids=lambda path: path.name)
def test_a_bad_repository_is_refused_with_this_message(path: Path) -> None:
    expected = path.with_name(f"{path.name}.expected")
    if os.environ.get("ACCEPT"):
        expected.write_text(refusal(path), "utf-8")
    assert refusal(path) == expected.read_text("utf-8")


def test_all_of_them_are_there() -> None:
    assert [path.name[:3] for path in bad_repositories()] == [f"B{number:02}" for number in NUMBERS]


@pytest.mark.parametrize("path", bad_repositories(), ids=lambda path: path.name)
def test_a_bad_repository_costs_less_than_a_second_and_200_megabytes(path: Path) -> None:
    assert_cheap(Path(__file__).with_name("bad_repositories.py"), path)


def test_the_table_names_each_with_its_codes() -> None:
    rows = re.findall(r"^\| (B\d\d) \| [^|]+ \| ([^|]*) \|$", (BAD / "README.md").read_text("utf-8"), re.MULTILINE)
    listed = {number: set(re.findall(r"R\d{3}", codes)) for number, codes in rows}
    said: dict[str, set[str]] = defaultdict(set)
    for path in sorted(BAD.glob("B*.expected")):
        said[path.name[:3]] |= set(re.findall(r"^error\[(R\d{3})\]", path.read_text("utf-8"), re.MULTILINE))
    assert listed == said
