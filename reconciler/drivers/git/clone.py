"""Where does the repository stand on this machine's disk, and is it whole?

One bare clone per directory. It is made beside its place and moved in when complete, so a half-made one is never seen;
what is damaged is replaced the same way. A file lock keeps other processes out while it changes.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import BinaryIO

from reconciler.drivers.git import faults
from reconciler.drivers.git.environment import (
    Credentials,
    local_environment,
    remote_environment,
    secrets,
    trust_file,
)
from reconciler.drivers.git.process import Output, require_git, run
from reconciler.errors import Refused, Unreachable
from reconciler.load.giturl import GitUrl

KEPT = "refs/reconciler/applied/"
BRANCHES = "refs/reconciler/branch/"
_LOCK_POLL_SECONDS = 0.02
_LEFT_BEHIND = ("*.lock", "gc.pid", "refs/**/*.lock", "objects/info/**/*.lock", "objects/pack/tmp_*", "objects/pack/*.keep")
_OVERTAKEN_AT_MOST = 3
_WHOLE_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a repository may cost.

    fetch_seconds  one fetch, and the wait for another process that fetches into the same clone
    clone_seconds  the first fetch, which brings the whole history
    local_seconds  any call that stays on this machine
    clone_bytes    the clone on disk
    blob_bytes     one file read from it
    """

    fetch_seconds: float = 60.0
    clone_seconds: float = 900.0
    local_seconds: float = 30.0
    clone_bytes: int = 2 * 1024**3
    blob_bytes: int = 64 * 1024**2


class TooLarge(Refused):
    """The clone takes more of the disk than it may."""


class Clone:
    """A bare clone of one remote below `directory`. Its methods raise faults.Damaged when it is not whole.

    lost  names of kept commits that the last rebuild could not save; () when there are none
    """

    def __init__(
        self, directory: Path, url: GitUrl, credentials: Credentials, limits: Limits, ambient: Mapping[str, str]
    ) -> None:
        self.path = directory / "repository.git"
        self.lost: tuple[str, ...] = ()
        self._fresh = directory / "fresh.git"
        self._broken = directory / "broken.git"
        self._too_large = directory / "too-large"
        self._directory = directory
        self._url = url
        self._credentials = credentials
        self._limits = limits
        self._ambient = ambient
        self._thread_lock = threading.RLock()
        self._depth = 0

    @property
    def environment(self) -> dict[str, str]:
        """What git gets for work that stays on this machine."""
        return local_environment(self._ambient, (self.path, self._fresh, self._broken))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other threads and processes out. May be nested.

        Raises Unreachable when others hold it too long, and for every file of the clone that cannot be written.
        """
        if not self._thread_lock.acquire(timeout=self._limits.fetch_seconds):
            raise self._busy()
        try:
            self._depth += 1
            with self._file_locked() if self._depth == 1 else nullcontext():
                yield
        except OSError as error:
            message = f"the clone in {self._directory} cannot be written: {error.strerror}"
            raise Unreachable(message, hint="make the state directory writable for this user, with room on its disk") from error
        finally:
            self._depth -= 1
            self._thread_lock.release()

    def update(self, branch: str) -> None:
        """Bring the branch up to date, making or remaking the clone where needed. Call it locked."""
        require_git(self._ambient.get("PATH", ""))
        self._clear_left_behind()
        if self.path.exists():
            with suppress(faults.Damaged):
                return self._fetch_branch(self.path, branch, self._limits.fetch_seconds)
        return self.rebuild(branch)

    def rebuild(self, branch: str) -> None:
        """Make a new clone beside the old one, carry over what was kept, and swap them. Call it locked."""
        shutil.rmtree(self._fresh, ignore_errors=True)
        try:
            self._checked(self._run("init", "--quiet", "--bare", "--template=", str(self._fresh)))
            self._fetch_branch(self._fresh, branch, self._limits.clone_seconds)
            self._carry_over_kept()
        except faults.Damaged as damage:
            hint = "run `git fsck` in the remote repository"
            raise Unreachable(f"repository {self._url} sends damaged data: {damage}", hint=hint) from damage
        else:
            self._swap()
        finally:
            shutil.rmtree(self._fresh, ignore_errors=True)

    def fetch_other(self, name: str) -> str | None:
        """Fetch a branch or a whole commit id that is not followed; return its commit id, None when there is none.

        Nothing refers to it afterwards, so git forgets it after two weeks unless it is kept.
        """
        reference = name if _WHOLE_ID.fullmatch(name) else f"refs/heads/{name}"
        try:
            self._fetch(self.path, reference, self._limits.fetch_seconds, "--write-fetch-head")
        except faults.BranchMissing:
            return None
        return self.resolve("FETCH_HEAD")

    def tip(self, branch: str) -> str | None:
        """Return the commit the branch pointed at when it was last fetched, None before."""
        return _references(self.path, BRANCHES).get(_as_name(branch))

    def resolve(self, name: str) -> str | None:
        """Return the id of the commit that git calls by this (checked) name; None when it is not here."""
        found = self._run("--git-dir", str(self.path), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return found.lines[0] if found.status == 0 and found.lines else None

    def between(self, old: str, new: str, most: int) -> tuple[str, ...]:
        """Return the ids of the commits that new has and old has not, newest first."""
        listed = self._run("--git-dir", str(self.path), "rev-list", f"--max-count={most}", new, f"^{old}")
        return tuple(self._checked(listed).lines)

    def is_ancestor(self, old: str, new: str) -> bool:
        """Say whether new was built upon old; false as well when old is gone."""
        return self._run("--git-dir", str(self.path), "merge-base", "--is-ancestor", old, new).status == 0

    def keep(self, commit: str, name: str) -> None:
        """Protect a commit under a (checked) name from being forgotten. Call it locked."""
        self._checked(self._run("--git-dir", str(self.path), "update-ref", KEPT + name, commit))

    def held(self, name: str) -> frozenset[str]:
        """Return the ids of the commits that are protected as `NAME-ID`."""
        return frozenset(commit for kept, commit in _references(self.path, KEPT).items() if kept == f"{name}-{commit}")

    def let_go(self, name: str) -> None:
        """Protect a commit under a name no longer. Call it locked."""
        self._checked(self._run("--git-dir", str(self.path), "update-ref", "-d", KEPT + name))

    def work(self, *arguments: str, data: bytes = b"", settings: Mapping[str, str] | None = None) -> Output:
        """Run git on this clone alone, with `data` to read and further environment variables. Raises what it complains of."""
        words = ("--git-dir", str(self.path), *arguments)
        about = f"git in {self._directory}"
        environment = self.environment | dict(settings or {})
        return self._checked(run(words, environment, deadline_seconds=self._limits.local_seconds, about=about, data=data))

    def push(self, commit: str, branch: str) -> Output:
        """Offer a commit to the remote's branch, which must lead up to it: never by force. The answer is git's, unjudged."""
        push = ("push", "--porcelain", "--no-follow-tags", "--no-recurse-submodules", "--no-verify", "--", str(self._url))
        words = ("--git-dir", str(self.path), *push, f"{commit}:refs/heads/{branch}")
        return self._talk(*words, seconds=self._limits.fetch_seconds)

    def remote_tip(self, branch: str) -> str | None:
        """Ask the remote which commit its branch points at; None when there is no such branch."""
        reference = f"refs/heads/{branch}"
        listed = self._ask("ls-remote", "--", str(self._url), reference, seconds=self._limits.fetch_seconds)
        tips = (line.split("\t") for line in listed.lines)
        return next((commit for commit, name in tips if name == reference), None)

    def judge(self, output: Output) -> Exception:
        """Return the error to raise for a run that failed."""
        return faults.fault(output, str(self._url), self._secrets())

    def remote_words(self, output: Output) -> str:
        """Return what the remote itself said in a run, on one line; "" when nothing."""
        return faults.remote_words(output.err, self._secrets())

    def _secrets(self) -> tuple[str, ...]:
        return secrets(self._credentials, self._ambient)

    @contextmanager
    def _file_locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._directory / "lock").open("wb") as file:  # closing it gives the lock back
            self._wait_for(file)
            yield

    def _wait_for(self, file: BinaryIO) -> None:
        deadline = time.monotonic() + self._limits.fetch_seconds
        pause = threading.Event()
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._busy() from None
                pause.wait(_LOCK_POLL_SECONDS)

    def _busy(self) -> Unreachable:
        message = f"the clone in {self._directory} has been in use elsewhere for {self._limits.fetch_seconds:g} s"
        return Unreachable(message, hint="give each reconciler a state directory of its own")

    def _clear_left_behind(self) -> None:
        # Whoever made these is gone: we hold the lock, and git outlives only those who were killed, and them not for long.
        for pattern in _LEFT_BEHIND:
            for left in self.path.glob(pattern):
                left.unlink(missing_ok=True)

    def _fetch_branch(self, clone: Path, branch: str, seconds: float) -> None:
        name = _as_name(branch)
        before = _references(clone, BRANCHES).get(name)
        self._refuse_again(branch)
        try:
            self._follow(clone, f"+refs/heads/{branch}:{BRANCHES}{name}", seconds)
            if _references(clone, BRANCHES).get(name) != before:
                self._refuse_too_large(clone)
        except faults.BranchMissing:
            raise self._no_branch(branch) from None
        except TooLarge:
            self._take_back(clone, branch, before)
            raise

    def _follow(self, clone: Path, reference: str, seconds: float) -> None:
        """Fetch a branch again where a git that outlived its killed caller, and so the caller's lock, got in between."""
        for _ in range(_OVERTAKEN_AT_MOST):
            with suppress(faults.Overtaken):
                return self._fetch(clone, reference, seconds, "--no-write-fetch-head")
        return self._fetch(clone, reference, seconds, "--no-write-fetch-head")

    def _refuse_again(self, branch: str) -> None:
        """Refuse what was too large before without bringing it here again. Raises TooLarge."""
        refused = _lines(self._too_large)
        if refused and refused == [f"{self.remote_tip(branch)} {self._limits.clone_bytes}"]:
            raise self._is_too_large()
        self._too_large.unlink(missing_ok=True)

    def _take_back(self, clone: Path, branch: str, before: str | None) -> None:
        """Have the branch where it was, free the space, and remember which tip was too large."""
        reference = BRANCHES + _as_name(branch)
        come = _references(clone, BRANCHES).get(_as_name(branch))
        refused = come if come != before else self.remote_tip(branch)
        change = (reference, before) if before else ("-d", reference)
        self._checked(self._run("--git-dir", str(clone), "update-ref", *change))
        self._too_large.write_text(f"{refused} {self._limits.clone_bytes}\n")
        if clone == self.path:
            words = ("--git-dir", str(clone), "gc", "--quiet", "--prune=now")
            about = f"git in {self._directory}"
            self._checked(run(words, self.environment, deadline_seconds=self._limits.clone_seconds, about=about))

    def _fetch(self, clone: Path, reference: str, seconds: float, *options: str) -> None:
        """Fetch one reference. The clone's size is watched meanwhile, since a remote may send without end."""
        watch = partial(self._refuse_too_large, clone)
        fetch = ("fetch", "--quiet", "--no-tags", "--prune", "--no-recurse-submodules", *options)
        self._ask("--git-dir", str(clone), *fetch, "--", str(self._url), reference, seconds=seconds, watch=watch)

    def _no_branch(self, branch: str) -> Refused:
        """Tell an empty repository from a deleted branch, and name the branches there are."""
        listed = self._ask("ls-remote", "--heads", "--", str(self._url), seconds=self._limits.fetch_seconds)
        branches = [line.partition("refs/heads/")[2] for line in listed.lines]
        if not branches:
            return Refused(f"repository {self._url} is empty", hint="push a first commit; until then nothing is changed")
        near = get_close_matches(branch, branches, 3) or sorted(branches)[:5]
        hint = f"nothing is removed because of that; there is {', '.join(near)}"
        return Refused(f'repository {self._url} has no branch "{branch}"', hint=hint)

    def _refuse_too_large(self, clone: Path) -> None:
        if _bytes_below(clone) > self._limits.clone_bytes:
            raise self._is_too_large()

    def _is_too_large(self) -> TooLarge:
        message = f"repository {self._url} takes more than {self._limits.clone_bytes} bytes on disk"
        return TooLarge(message, hint="remove large files from its history, or raise the cap (clone_bytes)")

    def _carry_over_kept(self) -> None:
        old = self.path if self.path.exists() else self._broken
        kept = _references(old, KEPT)
        for name, commit in kept.items():
            if self._saved(commit, KEPT + name, old):
                self._checked(self._run("--git-dir", str(self._fresh), "update-ref", KEPT + name, commit))
        self.lost = tuple(sorted(kept.keys() - _references(self._fresh, KEPT).keys()))

    def _saved(self, commit: str, reference: str, old: Path) -> bool:
        """Say whether the fresh clone holds the commit, after asking the old clone and then the remote for it."""
        if self._has(commit):
            return True
        # What makes git refuse a clone at once is most often its HEAD, which nothing here needs.
        (old / "HEAD").write_text("ref: refs/heads/none\n")
        fetch = ("--git-dir", str(self._fresh), "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--")
        self._run(*fetch, str(old), f"+{reference}:{reference}", allowed="file")
        if not self._has(commit):
            with suppress(faults.BranchMissing, faults.Damaged, Unreachable):
                self._fetch(self._fresh, commit, self._limits.fetch_seconds, "--no-write-fetch-head")
        return self._has(commit)

    def _has(self, commit: str) -> bool:
        """Say whether the fresh clone holds a commit with all it refers to."""
        listing = ("rev-list", "--objects", "--max-count=1", "--quiet", commit)
        return self._run("--git-dir", str(self._fresh), *listing).status == 0

    def _swap(self) -> None:
        # If we die between the two renames, the next update finds no clone, makes one and asks `broken` for what was kept.
        if self.path.exists():
            shutil.rmtree(self._broken, ignore_errors=True)
            os.rename(self.path, self._broken)
        os.rename(self._fresh, self.path)
        shutil.rmtree(self._broken, ignore_errors=True)

    def _run(self, *arguments: str, allowed: str = "") -> Output:
        """Run git on this machine only, whatever comes of it."""
        environment = self.environment | {"GIT_ALLOW_PROTOCOL": allowed}
        about = f"git in {self._directory}"
        return run(arguments, environment, deadline_seconds=self._limits.local_seconds, about=about)

    def _ask(self, *arguments: str, seconds: float, watch: Callable[[], None] = lambda: None) -> Output:
        """Run git against the remote. Raises what git's complaint means."""
        return self._checked(self._talk(*arguments, seconds=seconds, watch=watch))

    def _talk(self, *arguments: str, seconds: float, watch: Callable[[], None] = lambda: None) -> Output:
        environment = remote_environment(self._url, self._credentials, self._ambient, (self.path, self._fresh))
        if self._url.scheme == "file":
            environment["GIT_CONFIG_GLOBAL"] = str(self._trust())
        about = f"repository {self._url}"
        return run(arguments, environment, deadline_seconds=seconds, about=about, watch=watch)

    def _trust(self) -> Path:
        path = self._directory / "gitconfig"
        path.write_text(trust_file(self._url))
        return path

    def _checked(self, output: Output) -> Output:
        if output.status:
            raise self.judge(output)
        return output


def _as_name(branch: str) -> str:
    # One level deep: `a` and `a/b` cannot both be files below one directory, and one may follow the other.
    return branch.replace("/", "%2F")


def _references(clone: Path, prefix: str) -> dict[str, str]:
    """Return name and commit of the references below a prefix, read from their files: that works in a broken clone."""
    packed = _lines(clone / "packed-refs")
    found = {name: commit for commit, _, name in (line.partition(" ") for line in packed)}
    loose = {str(path.relative_to(clone)): path for path in (clone / prefix).glob("**/*") if path.is_file()}
    found |= {name: "".join(_lines(path)[:1]) for name, path in loose.items()}
    return {
        name.removeprefix(prefix): commit
        for name, commit in found.items()
        if name.startswith(prefix) and _WHOLE_ID.fullmatch(commit)
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _bytes_below(directory: Path) -> int:
    return sum(_size(Path(where) / name) for where, _, names in os.walk(directory) for name in names)


def _size(path: Path) -> int:
    # git renames and removes files while we count.
    with suppress(FileNotFoundError):
        return path.stat(follow_symlinks=False).st_size
    return 0
