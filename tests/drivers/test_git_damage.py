"""Is a damaged clone made anew without losing what was kept?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_remotes import Remote, git

from reconciler.drivers.git import GitSource
from reconciler.errors import Refused, Unreachable
from reconciler.load.giturl import parse_url

FILES = {f"stacks/{number}/compose.yaml": f"services: {{web: {{image: web:{number}}}}}\n" for number in range(20)}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote.make(tmp_path / "state.git")
    remote.commit({"stacks/0/compose.yaml": "services: {}\n"}, "first")
    remote.commit(FILES, "second")
    return remote


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return tmp_path / "clone/repository.git"


@pytest.fixture
def source(tmp_path: Path, remote: Remote) -> Iterator[GitSource]:
    source = GitSource(parse_url(str(remote.path), allow_file=True), "main", tmp_path / "clone")
    yield source
    source.close()


def _loose(clone: Path, name: str) -> Path:
    """Return the file of one object, after taking all packs apart."""
    for pack in (clone / "objects/pack").glob("*.pack"):
        content = pack.read_bytes()
        for path in (pack, *pack.parent.glob(f"{pack.stem}.*")):
            path.unlink(missing_ok=True)
        git(clone, "unpack-objects", "-q", data=content)
    identity = git(clone, "rev-parse", name)
    path = clone / "objects" / identity[:2] / identity[2:]
    path.chmod(0o644)
    return path


def _packed(clone: Path, ending: str) -> Path:
    git(clone, "repack", "-adq")
    path = next((clone / "objects/pack").glob(f"*.{ending}"))
    path.chmod(0o644)
    return path


def _truncate(path: Path, size: int) -> None:
    os.truncate(path, size)


TIP = "refs/reconciler/branch/main"
DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty HEAD": lambda clone: (clone / "HEAD").write_text(""),
    "garbled HEAD": lambda clone: (clone / "HEAD").write_bytes(b"\0\xff"),
    "no HEAD": lambda clone: (clone / "HEAD").unlink(),
    "garbled config": lambda clone: (clone / "config").write_text("[core\n"),
    "newer format": lambda clone: (clone / "config").write_text("[core]\nrepositoryformatversion = 9\n"),
    "empty branch": lambda clone: (clone / TIP).write_text(""),
    "garbled branch": lambda clone: (clone / TIP).write_bytes(b"\xff" * 30),
    "branch to nothing": lambda clone: (clone / TIP).write_text("1" * 40 + "\n"),
    "no commit": lambda clone: _loose(clone, TIP).unlink(),
    "empty commit": lambda clone: _truncate(_loose(clone, TIP), 0),
    "cut commit": lambda clone: _truncate(_loose(clone, TIP), 20),
    "no root tree": lambda clone: _loose(clone, f"{TIP}^{{tree}}").unlink(),
    "no tree": lambda clone: _loose(clone, f"{TIP}:stacks/3").unlink(),
    "no blob": lambda clone: _loose(clone, f"{TIP}:stacks/3/compose.yaml").unlink(),
    "empty blob": lambda clone: _truncate(_loose(clone, f"{TIP}:stacks/3/compose.yaml"), 0),
    "garbled blob": lambda clone: _loose(clone, f"{TIP}:stacks/3/compose.yaml").write_bytes(b"garbage"),
    "empty pack": lambda clone: _truncate(_packed(clone, "pack"), 0),
    "cut pack": lambda clone: _truncate(_packed(clone, "pack"), 100),
    "empty index": lambda clone: _truncate(_packed(clone, "idx"), 0),
    "no index": lambda clone: _packed(clone, "idx").unlink(),
    "no objects": lambda clone: [path.unlink() for path in (clone / "objects").rglob("*") if path.is_file()],
    "branch locked": lambda clone: (clone / f"{TIP}.lock").write_text(""),
    "packed references locked": lambda clone: (clone / "packed-refs.lock").write_text(""),
    "configuration locked": lambda clone: (clone / "config.lock").write_text(""),
    "HEAD locked": lambda clone: (clone / "HEAD.lock").write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_clone_is_repaired(remote: Remote, source: GitSource, clone: Path, damage: Callable[[Path], object]) -> None:
    first = source.fetch()
    source.close()
    damage(clone)
    assert source.fetch() == first
    files = source.files(first.id)
    assert {path: files.read(path).decode() for path in FILES} == FILES
    third = remote.commit(FILES, "third")
    assert source.fetch().id == third
    assert not [path.name for path in clone.parent.iterdir() if path.name not in ("repository.git", "lock", "gitconfig")]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_was_kept_survives_the_repair(
    tmp_path: Path, remote: Remote, source: GitSource, clone: Path, damage: Callable[[Path], object]
) -> None:
    old = source.fetch().id
    source.keep(old, "production")
    damage(clone)
    source.fetch()
    source.files(old).read("stacks/3/compose.yaml")
    assert source.lost == ()
    assert git(clone, "rev-parse", "refs/reconciler/applied/production") == old


def test_what_only_the_damaged_clone_holds_is_carried_over(remote: Remote, source: GitSource, clone: Path) -> None:
    old = source.fetch().id
    source.keep(old, "production")
    new = remote.commit({"x": "1"}, onto="")
    git(remote.path, "gc", "--quiet", "--prune=now")
    source.fetch()
    (clone / "HEAD").write_text("")
    assert source.fetch().id == new
    assert source.files(old).read("stacks/3/compose.yaml").decode() == FILES["stacks/3/compose.yaml"]


def test_what_nobody_holds_any_more_is_named(remote: Remote, source: GitSource, clone: Path) -> None:
    old = source.fetch().id
    source.keep(old, "production")
    new = remote.commit({"x": "1"}, onto="")
    git(remote.path, "gc", "--quiet", "--prune=now")
    source.fetch()
    _loose(clone, f"{old}:stacks/3/compose.yaml").unlink()
    (clone / "HEAD").write_text("")
    assert source.fetch().id == new
    assert source.lost == ("production",)


def test_a_swap_that_was_cut_short_is_finished(remote: Remote, source: GitSource, clone: Path) -> None:
    old = source.fetch().id
    source.keep(old, "production")
    clone.rename(clone.parent / "broken.git")
    source.fetch()
    assert git(clone, "rev-parse", "refs/reconciler/applied/production") == old


def test_a_damaged_clone_stays_while_the_remote_is_down(remote: Remote, source: GitSource, clone: Path) -> None:
    old = source.fetch().id
    source.keep(old, "production")
    (clone / "HEAD").write_text("")
    remote.path.rename(remote.path.parent / "away.git")
    with pytest.raises(Unreachable, match="there is no repository"):
        source.fetch()
    (remote.path.parent / "away.git").rename(remote.path)
    assert source.fetch().id == old
    assert git(clone, "rev-parse", "refs/reconciler/applied/production") == old


def test_damage_at_the_remote_is_not_blamed_on_the_clone(remote: Remote, source: GitSource) -> None:
    _loose(remote.path, "refs/heads/main^{tree}").unlink()
    with pytest.raises(Unreachable, match=r"damaged|did not answer as expected|broke the connection"):
        source.fetch()


@pytest.mark.parametrize("name", [".git", ".", "..", ".GIT"])
def test_a_tree_with_a_dangerous_name_is_refused(remote: Remote, source: GitSource, name: str) -> None:
    blob = git(remote.path, "hash-object", "-w", "--stdin", data=b"x")
    raw = f"100644 {name}\0".encode() + bytes.fromhex(blob)
    tree = git(remote.path, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", data=raw)
    commit = git(remote.path, "commit-tree", "-m", "evil", tree)
    git(remote.path, "update-ref", "refs/heads/main", commit)
    with pytest.raises(Refused, match="malformed or dangerous"):
        source.fetch()
