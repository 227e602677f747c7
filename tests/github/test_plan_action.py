"""Does the pull request recipe show the plan once, and fail when there is none?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    environment = {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "GITHUB_STEP_SUMMARY": str(directory / "summary"),
        "RECONCILER_STATE": str(directory / "state"),
    }
    return subprocess.run(words, env=environment, cwd=directory, capture_output=True, text=True, timeout=30)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A checkout of the example repository as a pull request leaves it: two commits, on no branch."""
    shop = tmp_path / "shop"
    shutil.copytree(PROJECT / "example-repo", shop)
    _git(shop, "init", "--quiet", "--initial-branch=main")
    _commit(shop, "The shop")
    page = shop / "stacks/shop/web/index.html"
    page.write_text(page.read_text().replace("<h1>Shop</h1>", "<h1>The shop</h1>"))
    _commit(shop, "Change the web page")
    _git(shop, "checkout", "--quiet", "--detach")
    _git(shop, "branch", "--quiet", "--delete", "--force", "main")
    return shop


def _commit(repository: Path, subject: str) -> None:
    _git(repository, "add", "--all")
    _git(repository, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--message", subject)


def _git(repository: Path, *words: str) -> None:
    subprocess.run(("git", *words), cwd=repository, check=True, timeout=30)


def _plan(shop: Path, base: str) -> tuple[int, str]:
    """Run the recipe; return its exit code and what the job's summary shows."""
    (shop.parent / "reconciler").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m reconciler "$@"\n')
    (shop.parent / "reconciler").chmod(0o755)
    done = _run(shop.parent, str(ACTION / "plan"), str(shop), base, "HEAD", "plan.md")
    summary = (shop.parent / "summary").read_text()
    assert (shop.parent / "plan.md").read_text() == summary
    return done.returncode, summary


def test_the_summary_shows_what_the_pull_request_changes(shop: Path) -> None:
    code, summary = _plan(shop, "HEAD~1")
    assert code == 0, summary
    assert "Change the web page" in summary
    assert "shop/web" in summary
    assert "shop/api" not in summary


def test_an_invalid_pull_request_has_no_plan(shop: Path) -> None:
    (shop / "stacks/shop/compose.yaml").write_text("services: {web: {imag: web}}\n")
    assert _plan(shop, "HEAD~1") == (1, "There is no plan for HEAD: the job's log says what is wrong.\n")


def test_without_the_base_there_is_no_plan(shop: Path) -> None:
    assert _plan(shop, "0" * 40) == (1, "There is no plan for HEAD: the job's log says what is wrong.\n")


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
