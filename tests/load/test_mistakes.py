"""Is each mistake of a repository told whole: code, place, path, message and hint?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from text_repositories import problems

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "mistakes.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_repository_is_told(case: dict[str, Any]) -> None:
    said = [f"{one.code} {one.mark} {one.at} | {one.message} | {one.hint}".rstrip(" |") for one in problems(case["files"])]
    assert said == case["says"]
