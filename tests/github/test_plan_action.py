"""Does the pull request recipe show the plan once, and fail when there is none?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
ACTION = PROJECT / ".github/actions/plan"


def _stand_in(directory: Path, name: str, script: str) -> None:
    """Put a program of that name in front of the real one."""
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def _run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{directory}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(directory / "summary")}
    return subprocess.run(words, env=environment, cwd=directory, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("validate", "plan", "shown"),
    [
        (0, 0, "a plan\n"),
        (1, 0, "There is no plan for 0123456789ab: the job's log says what is wrong.\n"),
        (0, 1, "There is no plan for 0123456789ab: the job's log says what is wrong.\n"),
    ],
)
def test_the_summary_shows_the_plan_or_that_there_is_none(tmp_path: Path, validate: int, plan: int, shown: str) -> None:
    _stand_in(tmp_path, "reconciler", f'case $1 in validate) exit {validate};; plan) echo "a plan"; exit {plan};; esac')
    done = _run(tmp_path, str(ACTION / "plan"), ".", "base", "0123456789abcdef", "plan.md")
    assert done.returncode == max(validate, plan)
    assert (tmp_path / "summary").read_text() == (tmp_path / "plan.md").read_text() == shown


@pytest.mark.parametrize(
    ("earlier", "request_line"),
    [
        ("", "--method POST repos/acme/shop/issues/7/comments"),
        ("11", "--method PATCH repos/acme/shop/issues/comments/11"),
        ("11\n12", "--method PATCH repos/acme/shop/issues/comments/12"),
    ],
)
def test_a_pull_request_gets_one_comment(tmp_path: Path, earlier: str, request_line: str) -> None:
    found = f'printf "{earlier}"'.replace("\n", "\\n")
    _stand_in(tmp_path, "gh", f'case "$*" in *--paginate*) {found};; *) echo "$*" >request; cat >body;; esac')
    (tmp_path / "plan.md").write_text("a plan\n")
    done = _run(tmp_path, str(ACTION / "comment"), "acme/shop", "7", "plan.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert request_line in (tmp_path / "request").read_text()
    assert (tmp_path / "body").read_text() == "<!-- reconciler plan -->\na plan\n"


def test_a_plan_that_no_comment_can_hold_is_cut(tmp_path: Path) -> None:
    _stand_in(tmp_path, "gh", 'case "$*" in *--paginate*) ;; *) cat >body;; esac')
    (tmp_path / "plan.md").write_text("x" * 100_000)
    assert _run(tmp_path, str(ACTION / "comment"), "acme/shop", "7", "plan.md").returncode == 0
    body = (tmp_path / "body").read_text()
    assert len(body) < 65_536
    assert body.endswith("the whole plan stands in the job summary.\n")


def test_no_input_is_pasted_into_a_script() -> None:
    steps = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]
