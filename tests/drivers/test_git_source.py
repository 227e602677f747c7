"""Does the Git source show what the branch holds, and only that?"""

from __future__ import annotations

import fcntl
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git_remotes import Remote, Special, git

from reconciler.drivers.git import GitSource, Limits
from reconciler.errors import InvalidState, Refused, Unreachable, UsageError
from reconciler.load.excerpt import render_problem
from reconciler.load.giturl import parse_url
from reconciler.ports import FileKind, Source

BAD = Path(__file__).parents[1] / "load/bad"
COMPOSE = "services: {web: {image: web:1}}\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"

Open = Callable[..., GitSource]


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.make(tmp_path / "state.git")


@pytest.fixture
def open_source(tmp_path: Path, remote: Remote) -> Iterator[Open]:
    opened: list[GitSource] = []

    def open_source(branch: str = "main", **options: object) -> GitSource:
        url = parse_url(str(remote.path), allow_file=True)
        opened.append(GitSource(url, branch, tmp_path / "clone", **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_source
    for source in opened:
        source.close()


def test_fetch_returns_the_newest_commit(remote: Remote, open_source: Open) -> None:
    commit = remote.commit({"compose.yaml": COMPOSE}, "web 1\n\nBecause.")
    source: Source = open_source()
    revision = source.fetch()
    assert (revision.id, revision.ref, revision.subject) == (commit, "main", "web 1")
    assert (revision.author, revision.at) == ("Ada Lovelace <ada@example.org>", datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC))
    assert source.fetch() == revision
    later = remote.commit({"compose.yaml": "services: {}\n"})
    assert source.fetch().id == later
    assert source.files(commit).read("compose.yaml") == COMPOSE.encode()
    assert source.files(later).read("compose.yaml") == b"services: {}\n"


@pytest.mark.parametrize("message", ["\x1b[2Jwipe\n", "tab\there", "bidi \u202e"], ids=["escape", "tab", "bidi"])
def test_what_a_commit_says_of_itself_cannot_drive_a_terminal(remote: Remote, open_source: Open, message: str) -> None:
    remote.commit({"x": ""}, message)
    assert open_source().fetch().subject.isprintable()


def _raw_commit(remote: Remote, author: str, headers: str = "") -> None:
    tree = git(remote.path, "mktree")
    raw = f"tree {tree}\nauthor {author}\ncommitter {author}\n{headers}\nhello\n"
    commit = git(remote.path, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", data=raw.encode())
    git(remote.path, "update-ref", "refs/heads/main", commit)


@pytest.mark.parametrize(
    ("author", "headers", "expected"),
    [
        ("A <a@b> 999999999999 +0000", "", "A <a@b>"),
        ("A <a@b> 1 +051800", "", "A <a@b>"),
        (" <> 1 +0000", "", " <>"),
        ("A <a@b> 1 +0000", "encoding no-such\n", "A <a@b>"),
        ("A <a@b> 1 +0000", "encoding zlib_codec\n", "A <a@b>"),
    ],
    ids=["far-future", "odd-zone", "nobody", "unknown-encoding", "no-text-encoding"],
)
def test_odd_commits_are_read(remote: Remote, open_source: Open, author: str, headers: str, expected: str) -> None:
    _raw_commit(remote, author, headers)
    revision = open_source().fetch()
    assert (revision.author, revision.subject) == (expected, "hello")


def test_a_malformed_commit_is_refused(remote: Remote, open_source: Open) -> None:
    _raw_commit(remote, "A <a@b> 1<2 +0000")
    with pytest.raises(Refused, match="malformed or dangerous"):
        open_source().fetch()


def test_files_are_shown_as_git_stores_them(remote: Remote, open_source: Open) -> None:
    commit = remote.commit(
        {
            "stacks/shop/compose.yaml": COMPOSE,
            "ünï code/with blank": "1",
            "line\nbreak": "2",
            "run.sh": Special("100755", "#!/bin/sh\n"),
            "link": Special("120000", "stacks"),
            "sub/module": Special("160000", "1" * 40),
            "bytes": bytes(range(256)),
        }
    )
    source = open_source()
    source.fetch()
    files = source.files(commit)
    assert files.children("") == ("bytes", "line\nbreak", "link", "run.sh", "stacks", "sub", "ünï code")
    assert files.read("ünï code/with blank") == b"1"
    assert files.read("line\nbreak") == b"2"
    assert files.read("bytes") == bytes(range(256))
    assert [files.executable(path) for path in ("run.sh", "bytes", "stacks")] == [True, False, False]
    kinds = {path: files.kind(path) for path in ("", "stacks/shop", "link", "sub/module", "run.sh", "link/shop")}
    assert kinds == {
        "": FileKind.DIRECTORY,
        "stacks/shop": FileKind.DIRECTORY,
        "link": FileKind.SYMLINK,
        "sub/module": FileKind.SUBMODULE,
        "run.sh": FileKind.FILE,
        "link/shop": None,
    }


@pytest.mark.parametrize(
    "path", ["..", "../x", "/etc/passwd", "stacks/../x", "stacks//x", "./x", "missing", "a/" * 5000, "x\0"]
)
def test_nothing_is_found_outside_the_tree(remote: Remote, open_source: Open, path: str) -> None:
    commit = remote.commit({"stacks/x": "1", "x": "1"})
    source = open_source()
    source.fetch()
    assert source.files(commit).kind(path) is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (Special("120000", "/etc/passwd"), "R077"),
        (Special("160000", "1" * 40), "R086"),
        (POINTER, "R087"),
        ("x" * 11_000, "R078"),
    ],
    ids=["symlink", "submodule", "lfs-pointer", "too-large"],
)
def test_what_is_no_readable_file_is_refused_with_its_place(
    remote: Remote, open_source: Open, content: str | Special, code: str
) -> None:
    commit = remote.commit({"a/file": content, "good": "1"})
    source = open_source(limits=Limits(blob_bytes=10_000))
    source.fetch()
    files = source.files(commit)
    for _ in range(2):
        with pytest.raises(InvalidState) as refusal:
            files.read("a/file")
        assert [(problem.code, str(problem.mark)) for problem in refusal.value.problems] == [(code, "a/file")]
        assert files.read("good") == b"1"


def test_what_no_newer_revision_uses_is_forgotten(remote: Remote, open_source: Open) -> None:
    stacks = {f"stacks/{name}/compose.yaml": COMPOSE for name in "abc"}
    source, remembered = open_source(), []
    for number in range(8):
        remote.commit({**stacks, "stacks/a/compose.yaml": f"services: {{web: {{image: web:v{number}}}}}\n"})
        files = source.files(source.fetch().id)
        assert all(files.read(path) for path in stacks)
        remembered.append(source.remembered)
    assert remembered[0] < remembered[2], "a revision that is still near is not read again"
    assert len(set(remembered[3:])) == 1


def test_equal_content_has_an_equal_identity(remote: Remote, open_source: Open) -> None:
    old = remote.commit({"a/x": "1", "b/x": "1", "c": "1"})
    new = remote.commit({"a/x": "1", "b/x": "2", "c": "1"})
    source = open_source()
    source.fetch()
    before, after = source.files(old), source.files(new)
    assert before.identity("a") == before.identity("b") == after.identity("a") != after.identity("b")
    assert before.identity("c") == after.identity("a/x")
    assert before.identity("missing") == ""


def test_a_path_makes_a_directory_the_root(remote: Remote, open_source: Open) -> None:
    commit = remote.commit({"environments/production/compose.yaml": COMPOSE, "other": ""})
    source = open_source(path="./environments/production/")
    source.fetch()
    assert source.files(commit).children("") == ("compose.yaml",)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("enviroments/production", 'did you mean "environments"?'),
        ("environments/producton", 'did you mean "environments/production"?'),
        ("environments/production/compose.yaml", "check the configured path"),
        ("environments/production/compose.yaml/x", "check the configured path"),
        ("zzz", "check the configured path"),
    ],
)
def test_a_missing_path_is_refused_with_a_suggestion(remote: Remote, open_source: Open, path: str, hint: str) -> None:
    commit = remote.commit({"environments/production/compose.yaml": COMPOSE})
    source = open_source(path=path)
    source.fetch()
    with pytest.raises(InvalidState) as refusal:
        source.files(commit)
    assert [(problem.code, problem.hint) for problem in refusal.value.problems] == [("R088", hint)]


def test_a_force_push_is_followed_and_reported(remote: Remote, open_source: Open) -> None:
    first = remote.commit({"x": "1"})
    source = open_source()
    source.fetch()
    second = remote.commit({"x": "2"})
    source.fetch()
    assert source.rewritten is None
    third = remote.commit({"x": "3"}, onto=first)
    assert source.fetch().id == third
    assert source.rewritten == (second, third)
    source.fetch()
    assert source.rewritten is None


def test_a_kept_revision_survives_a_force_push_and_collection(tmp_path: Path, remote: Remote, open_source: Open) -> None:
    old = remote.commit({"x": "old"})
    source = open_source()
    source.fetch()
    source.keep(old, "production")
    remote.commit({"x": "new"}, onto="")
    source.fetch()
    git(tmp_path / "clone/repository.git", "gc", "--quiet", "--prune=now")
    assert open_source().files(old).read("x") == b"old"


def test_git_packs_the_clone_while_it_fetches(tmp_path: Path, remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "0"})
    source = open_source()
    source.fetch()
    clone = tmp_path / "clone/repository.git"
    git(clone, "config", "fetch.unpackLimit", "1")  # A pack for each fetch; git's own limits need thousands of objects.
    git(clone, "config", "gc.autoPackLimit", "3")
    for number in range(8):
        newest = remote.commit({"x": str(number)})
        source.fetch()
    assert len(list(clone.glob("objects/pack/*.pack"))) <= 4
    assert source.files(newest).read("x") == b"7"


@pytest.mark.parametrize("name", ["HEAD", "main", "{new}", "{short}"])
def test_names_of_the_newest_commit_are_resolved(remote: Remote, open_source: Open, name: str) -> None:
    remote.commit({"x": "1"})
    new = remote.commit({"x": "2"})
    assert open_source().revision(name.format(new=new, short=new[:9])).id == new


@pytest.mark.parametrize("name", ["HEAD~1", "HEAD^", "main~1", "{new}~1", "{old}"])
def test_names_of_older_commits_are_resolved(remote: Remote, open_source: Open, name: str) -> None:
    old = remote.commit({"x": "1"})
    new = remote.commit({"x": "2"})
    assert open_source().revision(name.format(new=new, old=old)).id == old


def test_an_unknown_id_is_fetched_once_it_exists(remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "1"})
    source = open_source()
    source.fetch()
    new = remote.commit({"x": "2"})
    assert source.revision(new).id == new


def test_another_branch_is_fetched_each_time(remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "1"})
    source = open_source()
    first = remote.commit({"x": "2"}, branch="feature/two")
    assert (source.revision("feature/two").id, source.revision("feature/two").ref) == (first, "feature/two")
    second = remote.commit({"x": "3"}, branch="feature/two")
    assert source.revision("feature/two").id == second
    assert source.revision("feature/two~1").id == first
    assert source.fetch().ref == "main"


@pytest.mark.parametrize("name", ["nothing", "HEAD~9", "f" * 40, "HEAD@{1}", "-x", "a..b", ":/x", "HEAD:x", "", "main^{tree}"])
def test_a_name_of_nothing_is_a_usage_error(remote: Remote, open_source: Open, name: str) -> None:
    remote.commit({"x": "1"})
    with pytest.raises(UsageError, match="names no commit"):
        open_source().revision(name)


def test_commits_between_two_come_newest_first_and_bounded(remote: Remote, open_source: Open) -> None:
    commits = [remote.commit({"x": str(number)}, f"change {number}") for number in range(105)]
    source = open_source()
    source.fetch()
    subjects = [revision.subject for revision in source.between(commits[0], commits[3])]
    assert subjects == ["change 3", "change 2", "change 1"]
    assert len(source.between(commits[0], commits[-1])) == 100
    assert source.between(commits[3], commits[3]) == ()
    with pytest.raises(UsageError):
        source.between("f" * 40, commits[3])


def test_a_deleted_branch_is_refused_and_the_others_are_named(remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "1"})
    remote.commit({"x": "1"}, branch="maint")
    source = open_source()
    source.fetch()
    remote.delete("main")
    with pytest.raises(Refused, match='no branch "main"') as refusal:
        source.fetch()
    assert "maint" in refusal.value.hint


def test_an_empty_repository_is_refused_in_other_words(open_source: Open) -> None:
    with pytest.raises(Refused, match="is empty"):
        open_source().fetch()


def test_a_missing_repository_is_unreachable(tmp_path: Path) -> None:
    source = GitSource(parse_url(str(tmp_path / "nothing.git"), allow_file=True), "main", tmp_path / "clone")
    with pytest.raises(Unreachable, match="there is no repository"):
        source.fetch()


def test_a_branch_may_become_a_directory_of_branches(remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "1"}, branch="release")
    open_source("release").fetch()
    remote.delete("release")
    remote.commit({"x": "2"}, branch="release/two")
    assert open_source("release/two").fetch().ref == "release/two"


def test_sources_of_several_branches_share_one_clone(remote: Remote, open_source: Open) -> None:
    production = remote.commit({"x": "1"}, branch="production")
    staging = remote.commit({"x": "2"}, branch="staging")
    assert open_source("production").fetch().id == production
    assert open_source("staging").revision("HEAD").id == staging
    assert open_source("production").revision("HEAD").id == production


def test_a_repository_past_the_cap_is_refused_and_the_cap_is_named(remote: Remote, open_source: Open) -> None:
    remote.commit({"large": random.Random(0).randbytes(200_000)})
    with pytest.raises(Refused, match="more than 100000 bytes"):
        open_source(limits=Limits(clone_bytes=100_000)).fetch()


def test_what_was_too_large_stays_refused_and_is_not_fetched_again(tmp_path: Path, remote: Remote, open_source: Open) -> None:
    small, limits = remote.commit({"x": "small"}), Limits(clone_bytes=100_000)
    assert open_source(limits=limits).fetch().id == small
    remote.commit({"large": random.Random(0).randbytes(200_000)})
    for source in (open_source(limits=limits), open_source(limits=limits)):
        with pytest.raises(Refused, match="more than 100000 bytes"):
            source.fetch()
        assert sum(file.stat().st_size for file in (tmp_path / "clone").rglob("*") if file.is_file()) < 100_000
        assert source.revision("main").id == small
    assert open_source(limits=Limits(clone_bytes=1_000_000)).fetch().id == remote.tip()


def test_what_replaces_what_was_too_large_is_taken(remote: Remote, open_source: Open) -> None:
    limits = Limits(clone_bytes=100_000)
    remote.commit({"x": "small"})
    open_source(limits=limits).fetch()
    remote.commit({"large": random.Random(0).randbytes(200_000)})
    for number in range(3):
        with pytest.raises(Refused, match="more than 100000 bytes"):
            open_source(limits=limits).fetch()
        tip = remote.commit({"x": str(number)}, onto="")
        assert open_source(limits=limits).fetch().id == tip
        remote.commit({"large": random.Random(number).randbytes(200_000)})


def test_two_processes_may_fetch_into_one_clone(tmp_path: Path, remote: Remote) -> None:
    for number in range(3):
        remote.commit({"x": str(number)})
    program = f"""
from pathlib import Path
from reconciler.drivers.git import GitSource
from reconciler.load.giturl import parse_url
source = GitSource(parse_url({str(remote.path)!r}, allow_file=True), "main", Path({str(tmp_path / "clone")!r}))
print({{source.fetch().id for _ in range(5)}} == {{{remote.tip()!r}}})
"""
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=60) for process in running] == [(b"True\n", b"")] * 2


def test_a_clone_in_use_elsewhere_is_not_waited_for_without_end(tmp_path: Path, remote: Remote, open_source: Open) -> None:
    remote.commit({"x": "1"})
    (tmp_path / "clone").mkdir()
    with (tmp_path / "clone/lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unreachable, match="in use elsewhere"):
            open_source(limits=Limits(fetch_seconds=0.1)).fetch()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, remote: Remote) -> None:
    (tmp_path / "file").write_text("")
    source = GitSource(parse_url(str(remote.path), allow_file=True), "main", tmp_path / "file/clone")
    with pytest.raises(Unreachable, match="cannot be written"):
        source.fetch()


@pytest.mark.parametrize("case", sorted(BAD.glob("B69-*.txt")), ids=lambda path: path.stem)
def test_a_bad_file_in_a_commit_is_refused_with_its_whole_message(remote: Remote, open_source: Open, case: Path) -> None:
    """The first line of a case is mode and path as `git ls-tree` shows them, the rest is the content."""
    entry, _, content = case.read_text().partition("\n")
    mode, _, path = entry.partition(" ")
    commit = remote.commit({path: Special(mode, content)})
    source = open_source()
    source.fetch()
    with pytest.raises(InvalidState) as refusal:
        source.files(commit).read(path)
    assert "\n".join(map(render_problem, refusal.value.problems)) + "\n" == case.with_suffix(".expected").read_text()


def test_of_what_is_kept_only_for_a_while_the_rest_is_let_go(remote: Remote, open_source: Open) -> None:
    first, second, third = (remote.commit({"compose.yaml": f"# {number}\n"}) for number in range(3))
    source = open_source()
    source.fetch()
    source.keep(first, "production")
    source.keep_only((first, second), "version")
    assert source.clone.held("version") == {first, second}
    source.keep_only((second, third, "0" * 40), "version")
    assert source.clone.held("version") == {second, third}
    source.keep_only((), "version")
    assert source.clone.held("version") == frozenset()
    references = git(source.clone.path, "for-each-ref", "--format=%(refname)", "refs/reconciler/applied")
    assert references.split() == ["refs/reconciler/applied/production"]
