"""Does a working copy show the commits it has, and nothing that is not committed?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_remotes import Remote

from reconciler.drivers.git import WorkingCopy
from reconciler.errors import InvalidState, Unreachable, UsageError
from reconciler.ports import Commits

Open = Callable[..., WorkingCopy]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote.make(tmp_path / "remote.git")
    remote.commit({"compose.yaml": "old", "live/compose.yaml": "old live"}, "First")
    remote.commit({"compose.yaml": "new", "live/compose.yaml": "new live"}, "Second")
    return remote


@pytest.fixture
def clone(tmp_path: Path, remote: Remote) -> Path:
    return _clone(remote, tmp_path / "clone")


def _clone(remote: Remote, place: Path, *options: str) -> Path:
    command = ["git", "clone", "--quiet", *options, f"file://{remote.path}", str(place)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return place


@pytest.fixture
def opened() -> Iterator[Open]:
    copies: list[WorkingCopy] = []

    def open_copy(directory: Path, path: str = "") -> WorkingCopy:
        copies.append(WorkingCopy(directory, path))
        return copies[-1]

    yield open_copy
    for copy in copies:
        copy.close()


@pytest.mark.parametrize(
    ("name", "subject"), [("HEAD", "Second"), ("HEAD~1", "First"), ("origin/main", "Second"), ("main^", "First")]
)
def test_every_name_that_git_knows_there_is_resolved(clone: Path, opened: Open, name: str, subject: str) -> None:
    copy: Commits = opened(clone)
    revision = copy.revision(name)
    assert (revision.subject, revision.author) == (subject, "Ada Lovelace <ada@example.org>")
    assert copy.revision(revision.id) == revision


def test_only_what_is_committed_counts(clone: Path, opened: Open) -> None:
    (clone / "compose.yaml").write_text("not committed")
    copy = opened(clone)
    assert copy.files(copy.revision("HEAD").id).read("compose.yaml") == b"new"
    assert copy.files(copy.revision("HEAD~1").id).read("compose.yaml") == b"old"


def test_a_directory_inside_the_working_copy_shows_the_files_below_it(clone: Path, opened: Open) -> None:
    for copy in (opened(clone / "live"), opened(clone, "live")):
        files = copy.files(copy.revision("HEAD").id)
        assert (files.children(""), files.read("compose.yaml")) == (("compose.yaml",), b"new live")


def test_a_directory_that_a_commit_does_not_have_is_named(clone: Path, opened: Open) -> None:
    copy = opened(clone, "lib")
    with pytest.raises(InvalidState, match='there is no directory "lib"'):
        copy.files(copy.revision("HEAD").id)


def test_what_a_shallow_clone_lacks_is_said_with_the_way_out(tmp_path: Path, remote: Remote, opened: Open) -> None:
    copy = opened(_clone(remote, tmp_path / "shallow", "--depth=1"))
    with pytest.raises(UsageError, match="HEAD~1 names no commit") as unknown:
        copy.revision("HEAD~1")
    assert "fetch-depth: 0" in unknown.value.hint


@pytest.mark.parametrize("name", ["--output=x", "HEAD:compose.yaml", "main@{1}", ""])
def test_names_that_mean_more_than_a_commit_are_refused(clone: Path, opened: Open, name: str) -> None:
    with pytest.raises(UsageError, match="names no commit"):
        opened(clone).revision(name)


def test_a_directory_outside_any_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="stands in no Git repository"):
        WorkingCopy(tmp_path)
