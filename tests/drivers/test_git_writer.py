"""Does every decision come to stand in Git exactly once, whoever else writes there and whatever breaks off?"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from git_remotes import Remote, Web, git, program, serve

from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.git import Credentials, GitSource, GitWriter, Hand
from reconciler.errors import Conflict, InvalidState, Refused, Unreachable
from reconciler.load.giturl import parse_url
from reconciler.ports import Decision, Edits, Files, NewFile, Writer, Written

VALUES = "values.yaml"
AUTHOR = "reconciler <reconciler@example.org>"


# --- the story's people ----------------------------------------------------------------------------------------------


def with_line(text: str, key: str, value: int) -> str:
    """Return the text with this line among the others."""
    lines = [line for line in text.splitlines() if not line.startswith(f"{key}:")]
    return "".join(f"{line}\n" for line in [*lines, f"{key}: {value}"])


def decide(id: str, key: str, value: int, base: str = "", first: Callable[[], object] = lambda: None) -> Decision:
    """Decide that a key has a value; `first` happens between the fetch and the push of the first try."""
    happens = [first]

    def edit(files: Files) -> Edits:
        if happens:
            happens.pop()()
        text = files.read(VALUES).decode()
        wanted = with_line(text, key, value)
        return {} if f"{key}: {value}" in text.splitlines() else {VALUES: NewFile(wanted.encode())}

    return Decision(id, f"set {key}", base, edit, body="Because.", reason="a test")


@dataclass
class Human:
    """Somebody who pushes with git, and remembers what they said."""

    remote: Remote
    said: dict[str, int] = field(default_factory=dict)
    forced: set[tuple[str, str]] = field(default_factory=set)

    def push(self, value: int, *, onto: str | None = None) -> str:
        base = self.remote.tip() if onto is None else onto
        text = git(self.remote.path, "show", f"{base}:{VALUES}") + "\n"
        commit = self.remote.commit({VALUES: with_line(text, "human", value)}, f"human {value}", onto=base)
        self.said["human"] = value
        return commit

    def force(self, value: int) -> None:
        """Take the last commit back, and push another one in its place."""
        before = self.remote.tip()
        parents = git(self.remote.path, "rev-list", "--max-count=2", before).split()
        after = self.push(value, onto=parents[-1])
        if len(parents) > 1:
            self.forced.add((before, after))


@pytest.fixture(scope="module")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository to copy: that is much faster than to make one."""
    remote = Remote.make(tmp_path_factory.mktemp("first") / "state.git")
    git(remote.path, "config", "core.logAllRefUpdates", "true")
    git(remote.path, "config", "gc.auto", "0")
    remote.commit({VALUES: "human: 0\n", "other": "kept\n"}, "begin")
    return remote.path


@pytest.fixture
def remote(tmp_path: Path, first_commit: Path) -> Remote:
    return Remote(Path(shutil.copytree(first_commit, tmp_path / "state.git")))


@dataclass
class Desk:
    """Where a writer works: each call makes one with a clone of this name."""

    directory: Path
    remote: Remote
    opened: list[GitSource] = field(default_factory=list)

    def writer(self, name: str = "one", *, git_path: str = "", path: str = "", **options: object) -> GitWriter:
        hand = Hand(AUTHOR, name, options.pop("signing_key", None), bool(options.pop("skip_ci", False)))  # type: ignore[arg-type]
        url = parse_url(str(self.remote.path), allow_file=True)
        ambient = {**os.environ, "GIT_AUTHOR_NAME": "nobody", "GIT_COMMITTER_EMAIL": "nobody@example.org"}
        if git_path:
            ambient["PATH"] = git_path
        source = GitSource(url, "main", self.directory / name, path=path, ambient=ambient)
        self.opened.append(source)
        return GitWriter(source, hand, VirtualClock(), random.Random(name), **options)  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path, remote: Remote) -> Iterator[Desk]:
    desk = Desk(tmp_path / "clones", remote)
    yield desk
    for source in desk.opened:
        source.close()


def values(remote: Remote, branch: str = "main") -> str:
    return git(remote.path, "show", f"{branch}:{VALUES}")


def refuse(remote: Remote, when: str = "true", says: str = "ask for a review") -> None:
    """Put a hook before the repository that refuses pushes while the shell condition holds."""
    hook = remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nif {when}; then echo '{says}' >&2; exit 1; fi\n")
    hook.chmod(0o755)


# --- one writer ------------------------------------------------------------------------------------------------------


def test_a_decision_becomes_one_commit_on_top_of_the_branch(remote: Remote, desk: Desk) -> None:
    before = remote.tip()
    writer: Writer = desk.writer(skip_ci=True)
    written = writer.write(decide("d1", "web", 3, before))
    assert written == Written("main", remote.tip())
    assert git(remote.path, "rev-parse", "main^") == before
    assert values(remote) == "human: 0\nweb: 3"
    assert git(remote.path, "show", "main:other") == "kept"
    assert git(remote.path, "log", "-1", "--format=%an <%ae>|%cn <%ce>|%at|%ct") == (
        "reconciler <reconciler@example.org>|reconciler <reconciler@example.org>|1767225600|1767225600"
    )
    assert git(remote.path, "log", "-1", "--format=%B").strip() == (
        "set web [skip ci]\n\nBecause.\n\n"
        f"Reconciler-Decision-Id: d1\nReconciler-Reason: a test\nReconciler-Instance: one\nReconciler-Base: {before}"
    )


def test_the_same_decision_again_is_found_and_not_made_again(remote: Remote, desk: Desk) -> None:
    before = remote.tip()
    first = desk.writer().write(decide("d1", "web", 3, before))
    Human(remote).push(1)
    remote.commit({VALUES: "human: 1\n", "other": "kept\n"}, "I want it otherwise")
    assert desk.writer("two").write(decide("d1", "web", 3, before)) == first
    assert values(remote) == "human: 1"


def test_what_git_says_already_makes_no_commit(remote: Remote, desk: Desk) -> None:
    head = remote.tip()
    assert desk.writer().write(decide("d1", "human", 0, head)) == Written("main")
    assert remote.tip() == head


def test_files_are_added_removed_and_keep_their_mode_below_the_configured_directory(remote: Remote, desk: Desk) -> None:
    remote.commit({"env/a.sh": "a", "env/b": "b", "c": "c"})
    edits: Edits = {"a.sh": NewFile(b"new", executable=True), "b": None, "deep/er/d": NewFile(b"d"), "gone": None}
    desk.writer(path="env").write(Decision("d1", "edit", "", lambda files: edits))
    listed = git(remote.path, "ls-tree", "-r", "--format=%(objectmode) %(path)", "main")
    assert listed.splitlines() == ["100644 c", "100755 env/a.sh", "100644 env/deep/er/d"]


def test_what_the_decision_refuses_is_not_committed(remote: Remote, desk: Desk) -> None:
    head = remote.tip()

    def overtaken(files: Files) -> Edits:
        raise Conflict("somebody has changed it")

    with pytest.raises(Conflict, match="somebody has changed it"):
        desk.writer().write(Decision("d1", "edit", head, overtaken))
    assert remote.tip() == head


def test_a_commit_is_signed_where_the_operator_says_so(remote: Remote, desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    desk.writer(signing_key=key).write(decide("d1", "web", 3))
    allowed = tmp_path / "allowed"
    allowed.write_text(f"reconciler@example.org {key.with_suffix('.pub').read_text()}")
    trust = ("-c", f"gpg.ssh.allowedSignersFile={allowed}", "-c", "gpg.format=ssh")
    git(remote.path, *trust, "verify-commit", "main")
    head = remote.tip()
    with pytest.raises(Refused, match="cannot be signed"):
        desk.writer(signing_key=tmp_path / "none").write(decide("d2", "web", 4))
    assert remote.tip() == head


@pytest.mark.parametrize("author", ["nobody", "a\nb <c@d>", "<a@b>"])
def test_an_author_that_is_none_is_refused(remote: Remote, desk: Desk, author: str) -> None:
    writer = GitWriter(desk.writer()._source, Hand(author), VirtualClock(), random.Random(1))
    with pytest.raises(Refused, match="is no author"):
        writer.write(decide("d1", "web", 3))


def test_a_branch_that_cannot_be_one_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidState, match="branch"):
        desk.writer(push_branch="--all")


# --- others push too -------------------------------------------------------------------------------------------------


def test_a_push_that_came_first_is_built_upon(remote: Remote, desk: Desk) -> None:
    human = Human(remote)
    written = desk.writer().write(decide("d1", "web", 3, remote.tip(), first=lambda: human.push(7)))
    assert written.commit == remote.tip()
    assert values(remote) == "human: 7\nweb: 3"


def test_a_decision_is_overtaken_only_by_five_pushes_in_a_row(remote: Remote, desk: Desk) -> None:
    human = Human(remote)
    tries: list[str] = []

    def edit(files: Files) -> Edits:
        tries.append(human.push(len(tries) + 1))
        return {"mine": NewFile(b"")}

    with pytest.raises(Conflict, match="5 times"):
        desk.writer().write(Decision("d1", "too slow", remote.tip(), edit))
    assert len(tries) == 5
    assert remote.tip() == tries[-1]


def test_a_branch_taken_back_by_force_is_respected(remote: Remote, desk: Desk) -> None:
    human = Human(remote)
    desk.writer().write(decide("d1", "web", 3, remote.tip()))
    written = desk.writer().write(decide("d2", "api", 5, remote.tip(), first=lambda: human.force(9)))
    assert written.commit == remote.tip()
    assert values(remote) == "human: 9\napi: 5"


def test_a_deleted_branch_is_not_made_again(remote: Remote, desk: Desk) -> None:
    remote.commit({"a": "b"}, branch="other")
    remote.delete("main")
    with pytest.raises(Refused, match='no branch "main"'):
        desk.writer().write(decide("d1", "web", 3))


# --- the remote refuses ----------------------------------------------------------------------------------------------


def test_a_refused_push_is_no_success_and_says_what_the_remote_says(remote: Remote, desk: Desk) -> None:
    head = remote.tip()
    refuse(remote)
    with pytest.raises(Refused, match="WriteBackDelayed: branch main takes no commit of ours: ask for a review"):
        desk.writer().write(decide("d1", "web", 3, head))
    assert remote.tip() == head


def test_a_protected_branch_leads_to_the_branch_for_pull_requests(remote: Remote, desk: Desk) -> None:
    refuse(remote, "grep -q refs/heads/main$")
    head = remote.tip()
    first = desk.writer(push_branch="bot/writes").write(decide("d1", "web", 3, head))
    assert first == Written("bot/writes", remote.tip("bot/writes"))
    again = desk.writer("two", push_branch="bot/writes").write(decide("d1", "web", 3, head))
    assert again == first
    second = desk.writer(push_branch="bot/writes").write(decide("d2", "api", 5, head))
    assert git(remote.path, "rev-parse", f"{second.commit}^") == first.commit
    assert (remote.tip(), values(remote, "bot/writes")) == (head, "human: 0\nweb: 3\napi: 5")

    git(remote.path, "update-ref", "refs/heads/main", second.commit)  # somebody merges, and goes on
    Human(remote).push(4)
    third = desk.writer(push_branch="bot/writes").write(decide("d3", "web", 6, head))
    assert git(remote.path, "rev-parse", f"{third.commit}^") == remote.tip()


def test_commits_may_always_go_to_another_branch(remote: Remote, desk: Desk) -> None:
    head = remote.tip()
    assert desk.writer(to="bot").write(decide("d1", "web", 3, head)).branch == "bot"
    assert (remote.tip(), values(remote, "bot")) == (head, "human: 0\nweb: 3")


def test_a_remote_that_is_away_is_said_and_the_decision_can_be_made_later(remote: Remote, desk: Desk) -> None:
    away = remote.path.with_name("away.git")
    decision = decide("d1", "web", 3, remote.tip(), first=lambda: remote.path.rename(away))
    with pytest.raises(Unreachable):
        desk.writer().write(decision)
    away.rename(remote.path)
    assert desk.writer().write(decision).commit == remote.tip()


def test_a_damaged_clone_is_made_anew(remote: Remote, desk: Desk) -> None:
    writer = desk.writer()
    writer.write(decide("d1", "web", 3))
    clone = desk.directory / "one" / "repository.git"
    for directory in (clone / "objects").glob("??"):
        shutil.rmtree(directory)
    assert writer.write(decide("d2", "web", 4)).commit == remote.tip()


# --- killed at any step ----------------------------------------------------------------------------------------------


def killing_git(directory: Path, number: int, *, after: bool) -> str:
    """Return a search path with a git that kills whoever calls it for the so-manieth time, before or after it works."""
    real, count = shutil.which("git"), directory / "count"
    count.unlink(missing_ok=True)
    dies = f'[ "$(wc -c <{count})" -eq {number} ] && kill -9 $PPID'
    script = f'printf x >>{count}\n{"" if after else dies}\n{real} "$@"\nstatus=$?\n{dies if after else ""}\nexit $status\n'
    return program(directory, "git", script)()


def in_a_process(work: Callable[[], object]) -> int:
    """Do it in a process of its own and return how that ended: 0, or less when it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def decisions_in(remote: Remote, branch: str = "main") -> Counter[str]:
    log = git(remote.path, "log", "--format=%(trailers:key=Reconciler-Decision-Id,valueonly)", branch)
    return Counter(log.split())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_writer_killed_at_any_call_of_git_leaves_at_most_one_commit(remote: Remote, desk: Desk, after: bool) -> None:
    programs, killed = desk.directory.parent / "bin", 0
    for number in itertools.count(1):
        writer = desk.writer(git_path=killing_git(programs, number, after=after))
        decision = decide(f"d{number}", "web", number, remote.tip())
        killed += in_a_process(partial(writer.write, decision)) < 0
        assert desk.writer().write(decision).commit
        assert decisions_in(remote)[f"d{number}"] == 1
        if len((programs / "count").read_bytes()) < number:
            break
    assert killed >= number - 2
    assert values(remote).endswith(f"web: {number}")


def test_a_git_that_outlived_its_killed_caller_may_move_the_branch_meanwhile(remote: Remote, desk: Desk) -> None:
    desk.writer().write(decide("d1", "web", 3, remote.tip()))
    programs = desk.directory.parent / "bin"
    real, done = shutil.which("git"), programs / "done"
    # What `git fetch` says when a reference has moved since it looked.
    moved = f"error: cannot lock ref 'refs/reconciler/branch/main': is at {remote.tip()} but expected {'0' * 40}"
    once = f'case " $* " in *" fetch "*) [ -e {done} ] || {{ touch {done}; echo "{moved}" >&2; exit 1; }};; esac\n'
    path = program(programs, "git", f'{once}exec {real} "$@"\n')()
    assert desk.writer(git_path=path).write(decide("d2", "web", 4, remote.tip())).commit == remote.tip()
    assert done.exists()


# --- everything at once ----------------------------------------------------------------------------------------------


@dataclass
class History:
    """Two writers, a human and every fault, drawn from a seed."""

    seed: int
    remote: Remote
    desk: Desk
    decisions: list[Decision] = field(default_factory=list)
    writers: dict[str, Writer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.human = Human(self.remote)
        self.flag = self.remote.path / "protected"
        refuse(self.remote, f"[ -e {self.flag} ]")
        self.steps: list[Callable[[], object]] = [
            self.push, self.writes, self.writes, self.races, self.is_refused, self.is_killed, self.forces,
        ]  # fmt: skip

    def play(self) -> None:
        for _ in range(3):
            self.chance.choice(self.steps)()
        standing = decisions_in(self.remote)
        for decision in self.decisions:
            if decision.id not in standing:
                self.write(decision)

    def push(self) -> str:
        return self.human.push(self.chance.randrange(1, 1000))

    def forces(self) -> None:
        self.human.force(self.chance.randrange(1, 1000))

    def writes(self) -> None:
        self.write(self.decision())

    def races(self) -> None:
        """Somebody is faster: the human, the human by force, or the other writer."""
        other = self.decision()
        self.write(self.decision(self.chance.choice([self.push, self.forces, lambda: self.write(other, "two")])))

    def is_refused(self) -> None:
        self.flag.touch()
        self.write(self.decision())
        self.flag.unlink()

    def is_killed(self) -> None:
        number, after = self.chance.randrange(2, 16), self.chance.random() < 0.5
        path = killing_git(self.desk.directory.parent / "bin", number, after=after)
        writer, decision = self.desk.writer(git_path=path), self.decision()
        in_a_process(lambda: writer.write(decision))

    def decision(self, first: Callable[[], object] = lambda: None) -> Decision:
        number = len(self.decisions)
        made = decide(f"s{self.seed}d{number}", f"key{number}", number, self.remote.tip(), first)
        self.decisions.append(made)
        return made

    def write(self, decision: Decision, name: str = "one") -> None:
        if name not in self.writers:
            self.writers[name] = self.desk.writer(name)
        try:
            assert self.writers[name].write(decision).commit in git(self.remote.path, "rev-list", "main").split()
        except Refused:
            assert self.flag.exists(), "nothing else keeps a decision from Git here"


@pytest.mark.parametrize("seed", range(100))
def test_no_history_loses_repeats_forces_or_overwrites_anything(seed: int, remote: Remote, desk: Desk) -> None:
    history = History(seed, remote, desk)
    history.play()
    standing = decisions_in(remote)

    # Nothing twice, nothing lost: whatever a human did not force away stands there once.
    assert set(standing.values()) <= {1}
    assert {decision.id for decision in history.decisions} == set(standing)
    text = values(remote).splitlines()
    assert {f"key{number}: {number}" for number in range(len(history.decisions))} < set(text)

    # No human change overwritten: the human's word is the last one, and every commit of ours touches its own line alone.
    assert f"human: {history.human.said.get('human', 0)}" in text
    log = git(remote.path, "log", "--author=reconciler@", "-p", "-U0", "--format=%x00%s", "main")
    for commit in filter(None, log.split("\0")):
        key = commit.splitlines()[0].removeprefix("set ")
        changed = re.findall(r"^[+-](?![+-])(.*)$", commit, re.MULTILINE)
        assert [line.partition(":")[0] for line in changed] == [key]

    # No forced push but the human's.
    updates = [line.split()[:2] for line in (remote.path / "logs/refs/heads/main").read_text().splitlines()]
    for old, new in updates:
        if set(old) != {"0"} and (old, new) not in history.human.forced:
            assert git(remote.path, "merge-base", old, new) == old


# --- over the network ------------------------------------------------------------------------------------------------


def test_a_commit_is_pushed_over_http_with_the_token_and_a_token_that_may_only_read_is_named(
    remote: Remote, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cr3t\n")
    with serve(Web(remote.path.parent, authorization="Basic Z2l0OnMzY3IzdA==")) as web:
        url = parse_url(web.url(remote.path.name), allow_http=True)
        source = GitSource(url, "main", tmp_path / "clone", credentials=Credentials(token_file=token))
        writer = GitWriter(source, Hand(AUTHOR), VirtualClock(), random.Random(1))
        try:
            with pytest.raises(Unreachable, match="does not let us in") as refused:
                writer.write(decide("d1", "web", 3))
            git(remote.path, "config", "http.receivepack", "true")
            assert writer.write(decide("d1", "web", 3)).commit == remote.tip()
        finally:
            source.close()
    assert "s3cr3t" not in f"{refused.value}{refused.value.hint}"
