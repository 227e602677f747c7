"""Does a plain directory show its files as they are, and nothing else?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.drivers.directory import DirectoryFiles, FolderSource
from reconciler.errors import Conflict, InvalidState, ReconcilerError, Refused, Unreachable, UsageError
from reconciler.ports import FileKind, Source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "state"
    (root / "stacks/shop").mkdir(parents=True)
    (root / "stacks/shop/compose.yaml").write_text("services: {}\n")
    (root / "ünï code\nname").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("[core]\n")
    (root / "link").symlink_to("stacks")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    os.mkfifo(root / "pipe")
    (tmp_path / "outside").write_text("secret")
    (root / "escape").symlink_to("../outside")
    return root


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", FileKind.DIRECTORY),
        ("stacks/shop", FileKind.DIRECTORY),
        ("stacks/shop/compose.yaml", FileKind.FILE),
        ("ünï code\nname", FileKind.FILE),
        ("link", FileKind.SYMLINK),
        ("link/shop/compose.yaml", None),
        ("escape", FileKind.SYMLINK),
        (".git", None),
        (".git/config", None),
        ("pipe", None),
        ("../outside", None),
        ("stacks/../run.sh", None),
        ("/etc/passwd", None),
        ("stacks//shop", None),
        ("run.sh/x", None),
        ("nul\0byte", None),
        ("missing", None),
        ("stacks/" * 5000 + "x", None),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else str(value),
)
def test_every_path_is_what_stands_there_and_nothing_leads_out(root: Path, path: str, kind: FileKind | None) -> None:
    assert DirectoryFiles(root).kind(path) == kind


def test_children_are_sorted_and_git_is_hidden(root: Path) -> None:
    files = DirectoryFiles(root)
    assert files.children("") == ("escape", "link", "pipe", "run.sh", "stacks", "ünï code\nname")
    assert files.children("run.sh") == files.children("link") == files.children("missing") == ()


@pytest.mark.parametrize(
    ("path", "code"), [("link", "R077"), ("escape", "R077"), ("stacks", "R076"), ("pipe", "R076"), ("missing", "R076")]
)
def test_what_is_no_file_is_refused_with_its_place(root: Path, path: str, code: str) -> None:
    with pytest.raises(InvalidState) as refusal:
        DirectoryFiles(root).read(path)
    assert [(problem.code, str(problem.mark)) for problem in refusal.value.problems] == [(code, path)]


def test_a_file_past_the_cap_is_refused_and_the_cap_is_named(root: Path) -> None:
    with pytest.raises(InvalidState, match="larger than 5 bytes"):
        DirectoryFiles(root, file_bytes=5).read("run.sh")


def test_links_are_followed_only_on_request(root: Path) -> None:
    files = DirectoryFiles(root, follow_links=True)
    assert files.kind("link") is FileKind.DIRECTORY
    assert files.read("link/shop/compose.yaml") == b"services: {}\n"
    assert files.read("escape") == b"secret"


def test_a_file_stays_as_first_read(root: Path) -> None:
    files = DirectoryFiles(root)
    before = files.read("run.sh")
    assert files.identity("run.sh")
    (root / "run.sh").write_text("changed")
    assert files.read("run.sh") == before


def test_a_file_that_changes_between_hash_and_read_is_a_conflict(root: Path) -> None:
    files = DirectoryFiles(root)
    files.identity("")
    (root / "run.sh").write_text("changed")
    with pytest.raises(Conflict, match=r"run\.sh"):
        files.read("run.sh")


def _edit(root: Path) -> None:
    (root / "stacks/shop/compose.yaml").write_text("services: {web: {}}\n")


def _add(root: Path) -> None:
    (root / "stacks/new").write_text("")


def _remove(root: Path) -> None:
    (root / "run.sh").unlink()


def _make_executable(root: Path) -> None:
    (root / "stacks/shop/compose.yaml").chmod(0o755)


def _retarget(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")


def _rename(root: Path) -> None:
    (root / "run.sh").rename(root / "start.sh")


@pytest.mark.parametrize("change", [_edit, _add, _remove, _make_executable, _retarget, _rename])
def test_every_kind_of_change_is_a_new_revision(root: Path, change: Callable[[Path], None]) -> None:
    source = FolderSource(root)
    before = source.fetch().id
    assert source.fetch().id == before
    change(root)
    assert source.fetch().id != before


def test_what_git_keeps_for_itself_is_no_change(root: Path) -> None:
    source = FolderSource(root)
    before = source.fetch().id
    (root / ".git/index").write_text("x")
    assert source.fetch().id == before


def test_a_folder_is_a_source_without_a_past(root: Path) -> None:
    source: Source = FolderSource(root)
    now = source.fetch()
    assert (now.ref, now.author, now.subject) == ("directory", "", "working directory")
    assert source.revision("HEAD") == now
    assert source.files(now.id).executable("run.sh")
    assert source.between(now.id, now.id) == ()
    assert source.between("older", now.id) == (now,)
    source.keep(now.id, "production")
    for ask in (source.revision, source.files):
        with pytest.raises(UsageError, match="no revision"):
            ask("HEAD~1")


def _empty(path: Path) -> None:
    path.mkdir()


def _file(path: Path) -> None:
    path.write_text("")


def _nothing(_path: Path) -> None: ...


@pytest.mark.parametrize(
    ("make", "error"), [(_nothing, Unreachable), (_file, Unreachable), (_empty, Refused)], ids=["gone", "file", "empty"]
)
def test_a_missing_or_empty_folder_is_never_an_empty_state(
    tmp_path: Path, make: Callable[[Path], None], error: type[ReconcilerError]
) -> None:
    make(tmp_path / "state")
    with pytest.raises(error):
        FolderSource(tmp_path / "state").fetch()


def test_a_change_wakes_who_waits_and_stop_ends_it(root: Path) -> None:
    stop, woken, written = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        for _ in FolderSource(root).changes(stop):
            woken.set()

    watcher = threading.Thread(target=wait)
    watcher.start()
    # The watcher needs a moment to arm; writing until it reports needs no guess about how long.
    for number in range(200):
        (root / "stacks/new").write_text(str(number))
        if woken.wait(0.05):
            written.set()
            break
    stop.set()
    watcher.join(10)
    assert written.is_set()
    assert not watcher.is_alive()
