"""Does `plan` compare two commits without an engine, and refuse what makes no sense?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import main

PROJECT = Path(__file__).parents[2]
NOBODY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy of one stack with two commits: web:1, then web:2."""
    copy = tmp_path / "copy"
    copy.mkdir()
    _git(copy, "init", "--quiet", "--initial-branch=main")
    for version in ("1", "2"):
        (copy / "compose.yaml").write_text(
            f"services:\n  web:\n    image: web:{version}\n    environment:\n      API_TOKEN: secret{version}\n"
        )
        _git(copy, "add", "--all")
        _git(copy, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", f"web {version}")
    return copy


def _git(directory: Path, *words: str) -> None:
    subprocess.run(("git", *words), cwd=directory, env={**os.environ, **NOBODY}, check=True, timeout=30)


def _plan(tmp_path: Path, *words: str) -> int:
    return main(["plan", "--state", str(tmp_path / "state"), "--engine", "tcp://127.0.0.1:1", *words])


EXPECTED = """\
  stack copy
    ~ web  rolling 1 replica, start-first (no writable mounts)
        image                  web:1 → web:2           compose.yaml:3:5
        environment API_TOKEN  (changed)               compose.yaml:5:7
        then finish copy-web-1, once copy-web-1.next is ready
Plan: 1 to update. Nothing blocked.
"""


@pytest.mark.parametrize("words", [["--base", "HEAD~1", "--head", "main"], ["--base", "HEAD~1"]])
def test_two_commits_of_a_working_copy_are_compared_without_an_engine(
    words: list[str], copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "compose.yaml").write_text("what is not committed does not count")
    assert _plan(tmp_path, str(copy), *words) == 0
    heading, *rest = capsys.readouterr().out.splitlines()
    assert heading.startswith("Plan for copy at ")
    assert [" ".join(line.split()) for line in rest] == [" ".join(line.split()) for line in EXPECTED.splitlines()]


def test_the_exit_code_says_whether_commits_differ(copy: Path, tmp_path: Path) -> None:
    assert _plan(tmp_path, str(copy), "--base", "HEAD~1", "--exit-code") == 2
    assert _plan(tmp_path, str(copy), "--base", "HEAD", "--exit-code") == 0


def test_a_bare_repository_is_compared_too(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _git(tmp_path, "clone", "--quiet", "--bare", str(copy), "bare.git")
    assert _plan(tmp_path, str(tmp_path / "bare.git"), "--base", "HEAD~1", "--format", "markdown") == 0
    assert "**bare/web** rolling 1 replica" in capsys.readouterr().out


def test_as_json_nothing_shows_what_the_text_hides(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, str(copy), "--base", "HEAD~1", "--format", "json") == 0
    text = capsys.readouterr().out
    assert json.loads(text)["groups"][0]["key"] == "copy/web"
    assert "secret" not in text


def test_planning_offline_leaves_no_state(copy: Path, tmp_path: Path) -> None:
    assert _plan(tmp_path, str(copy), "--base", "HEAD~1") == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--head", "main"], "error: --head needs --base\nhint: name the revision to compare with: --base main\n"),
        (["--base", "HEAD", "--out", "plan.json"], "error: --out needs an engine\n"),
        (["--base", "nowhere"], "error: nowhere names no commit of the working copy"),
        (["--base", "--upload-pack=x"], None),
        (["--format", "xml"], None),
    ],
)
def test_what_makes_no_sense_ends_with_1(
    words: list[str], error: str | None, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = _plan(tmp_path, str(copy), *words)
    except SystemExit as usage:
        code = int(str(usage.code))
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert error is None or said.err.startswith(error)


def test_a_wrong_commit_is_shown_with_its_line(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "compose.yaml").write_text("services:\n  web:\n    imagee: web:3\n")
    _git(copy, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "--all", "-m", "typo")
    assert _plan(tmp_path, str(copy), "--base", "HEAD~1") == 1
    assert 'error[R034]: unknown key "imagee"\n  --> compose.yaml:3:5' in capsys.readouterr().err


def test_an_engine_that_is_away_is_one_error_with_a_hint(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _plan(tmp_path, str(copy)) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


# --- a bug -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def broken_library(tmp_path: Path) -> Path:
    """A directory before all others on the path, with an engine library that cannot even be imported."""
    (tmp_path / "broken" / "docker").mkdir(parents=True)
    (tmp_path / "broken/docker/__init__.py").write_text("raise ZeroDivisionError('the token is 12345')\n")
    return tmp_path / "broken"


def _with_library(library: Path, copy: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(library), "PYTHONPATH": f"{library}:{PROJECT}", **more}
    words = (sys.executable, "-m", "reconciler", "plan", "--state", str(library / "state"), str(copy))
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)


def test_a_bug_is_one_line_that_asks_to_report_it(broken_library: Path, copy: Path) -> None:
    done = _with_library(broken_library, copy)
    assert (done.returncode, done.stdout) == (1, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: this is a bug in reconciler: ZeroDivisionError at docker:1")
    assert "12345" not in done.stderr
    assert "RECONCILER_DEBUG=1" in hint


def test_its_traceback_is_to_be_had(broken_library: Path, copy: Path) -> None:
    done = _with_library(broken_library, copy, RECONCILER_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
