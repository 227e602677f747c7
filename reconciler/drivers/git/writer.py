"""How does a decision become a commit of the remote branch, while others push there too?

Each try begins anew: fetch, make the files again from the decision on what the branch holds now, commit, push, and ask
the remote whether it stands there. Nothing is merged and nothing is forced, so nobody's commit is ever lost; and as each
of our commits names its decision, one that was made before a crash is found again instead of being made twice.

The commit is made inside the bare clone, without a checkout, hence no hook or filter of the repository takes part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from reconciler.drivers.git.faults import Damaged
from reconciler.drivers.git.process import Output
from reconciler.drivers.git.source import GitSource
from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.load.giturl import check_branch
from reconciler.ports import Clock, Decision, Edits, FileKind, Files, NewFile, Written

TRIES = 5
PAUSE_SECONDS = 0.4
"""The longest pause after the first rejection; each further one may last as much longer."""
DECISION = "Reconciler-Decision-Id"
"""The trailer that says which decision a commit is."""

_AUTHOR = re.compile(r"(?P<name>[^<>\n]*[^<>\s])\s*<(?P<address>[^<>\s]+)>")
_ANSWER = re.compile(r"^(?P<flag>[ *=!])\t[^\t]*\t(?P<summary>.*)$", re.MULTILINE)
# What a server says when somebody else's push came first; everything else it rejects it will reject again.
_TOO_LATE = re.compile(
    r"fetch first|non-fast-forward|cannot lock ref|failed to (update|lock)|stale info|incorrect old value"
    r"|already exists|but expected|reference.*changed",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose hand the commits are in. None of it comes from the environment of this process.

    author       "Name <address>"
    instance     which reconciler it was, for a trailer; "" for none
    signing_key  an ssh key file to sign with
    skip_ci      whether subjects end in `[skip ci]`
    """

    author: str
    instance: str = ""
    signing_key: Path | None = None
    skip_ci: bool = False


class GitWriter:
    """The Writer port on the remote of a source.

    push_branch  where commits go, for a pull request, when the branch itself takes none; "" for nowhere
    to           the branch to push to, where it is not the one that is deployed
    chance       makes the pauses of several writers differ
    """

    def __init__(
        self, source: GitSource, hand: Hand, clock: Clock, chance: Random, *, to: str = "", push_branch: str = ""
    ) -> None:
        """Raises InvalidState for a branch that can have no such name."""
        self.branch = source.branch
        self._source = source
        self._clone = source.clone
        self._hand = hand
        self._clock = clock
        self._chance = chance
        named = (check_branch(to or source.branch), *([check_branch(push_branch)] if push_branch else []))
        self._targets = tuple(dict.fromkeys(named))

    def write(self, decision: Decision) -> Written:
        """Bring a decision to Git and return where it stands, confirmed by the remote."""
        refusals = []
        for target in self._targets:
            try:
                return self._write_to(target, decision)
            except _Forbidden as refusal:
                refusals.append(f"branch {target} takes no commit of ours: {refusal}")
        hint = "let this login push there, or name another branch as write_back.push_branch"
        raise Refused(f"WriteBackDelayed: {'; '.join(refusals)}", hint=hint)

    def _write_to(self, target: str, decision: Decision) -> Written:
        for number in range(TRIES):
            self._clock.sleep(self._chance.uniform(0.0, PAUSE_SECONDS * number))
            with self._clone.locked():
                try:
                    if written := self._tried(target, decision):
                        return written
                except Damaged:
                    self._source.rebuild()
        message = f"WriteBackDelayed: others pushed to {target} {TRIES} times while this was to be committed"
        raise Conflict(message, hint="try again when it is calmer")

    def _tried(self, target: str, decision: Decision) -> Written | None:
        """Try once. Returns None when somebody else's push came first."""
        deployed = self._source.fetch().id
        tips = {self.branch: deployed, **{other: tip for other in self._targets if (tip := self._tip(other, deployed))}}
        for branch, tip in tips.items():
            if made := self._made_before(decision, tip):
                return Written(branch, made)
        base = self._base(tips.get(target), deployed)
        files = self._source.files(base)
        edits = {path: new for path, new in decision.edit(files).items() if not _stands(files, path, new)}
        if not edits:
            return Written(target)
        commit = self._commit(base, edits, decision)
        return Written(target, commit) if self._pushed(commit, target) else None

    def _tip(self, branch: str, deployed: str) -> str | None:
        return deployed if branch == self.branch else self._clone.fetch_other(branch)

    def _base(self, tip: str | None, deployed: str) -> str:
        """Continue a branch that has something of its own; one that was merged begins again at what is deployed."""
        return deployed if tip is None or self._clone.is_ancestor(tip, deployed) else tip

    def _made_before(self, decision: Decision, tip: str) -> str:
        """Return the commit of this decision, "" when there is none; it can only have been made after its base."""
        if tip == decision.base:
            return ""
        known = [f"^{decision.base}"] if self._clone.resolve(decision.base) else []
        found = self._clone.work("rev-list", "--max-count=1", f"--grep=^{DECISION}: {decision.id}$", tip, *known)
        return next(iter(found.lines), "")

    # --- the commit --------------------------------------------------------------------------------------------------

    def _commit(self, base: str, edits: Edits, decision: Decision) -> str:
        """Make the commit in the clone alone; without a push git forgets it."""
        index = {"GIT_INDEX_FILE": str(self._clone.path / "write.index")}
        self._clone.work("read-tree", base, settings=index)
        lines = "".join(self._index_line(path, new) for path, new in edits.items())
        self._clone.work("update-index", "-z", "--add", "--replace", "--index-info", data=lines.encode(), settings=index)
        tree = self._clone.work("write-tree", settings=index).lines[0]
        message = self._message(decision).encode()
        make = (*self._commit_tree(), "-p", base, tree)
        try:
            return self._clone.work(*make, data=message, settings=self._identity()).lines[0]
        except (Damaged, Unreachable) as error:
            if self._hand.signing_key is None:
                raise
            hint = "it must be an OpenSSH key without a passphrase that this user may read; signing needs ssh-keygen"
            raise Refused(f"the commit cannot be signed with {self._hand.signing_key}", hint=hint) from error

    def _index_line(self, path: str, new: NewFile | None) -> str:
        """Return a line as `git update-index --index-info` reads it; mode 0 removes."""
        whole = "/".join(filter(None, (self._source.path, path)))
        if new is None:
            return f"0 {'0' * 40}\t{whole}\0"
        blob = self._clone.work("hash-object", "-w", "--stdin", data=new.content).lines[0]
        return f"{'100755' if new.executable else '100644'} {blob}\t{whole}\0"

    def _commit_tree(self) -> tuple[str, ...]:
        key = self._hand.signing_key
        if key is None:
            return ("commit-tree",)
        return ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "commit-tree", "-S")

    def _identity(self) -> Mapping[str, str]:
        author = _AUTHOR.fullmatch(self._hand.author)
        if author is None:
            raise Refused(f"{self._hand.author!r} is no author", hint="write `Name <address>` as write_back.author")
        when = f"{int(self._clock.now().timestamp())} +0000"
        who = {"NAME": author["name"], "EMAIL": author["address"], "DATE": when}
        return {f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in who.items()}

    def _message(self, decision: Decision) -> str:
        subject = f"{_one_line(decision.subject)}{' [skip ci]' if self._hand.skip_ci else ''}"
        trailers = "".join(f"{name}: {_one_line(value)}\n" for name, value in self._trailers(decision) if value)
        return "\n\n".join(filter(None, (subject, decision.body.strip(), trailers)))

    def _trailers(self, decision: Decision) -> Iterator[tuple[str, str]]:
        yield DECISION, decision.id
        yield "Reconciler-Reason", decision.reason
        yield "Reconciler-Instance", self._hand.instance
        yield "Reconciler-Base", decision.base

    # --- the push ----------------------------------------------------------------------------------------------------

    def _pushed(self, commit: str, target: str) -> bool:
        """Say whether the commit stands on the remote's branch; false when somebody else's came first."""
        output = self._clone.push(commit, target)
        answer = _ANSWER.search(output.out.decode(errors="replace"))
        if answer is None:
            raise self._clone.judge(output)
        if answer["flag"] == "!":
            return self._rejected(answer["summary"], output)
        if self._clone.remote_tip(target) == commit:
            return True
        # Somebody may have pushed on top of it already; and what was forced away meanwhile is not there.
        tip = self._clone.fetch_other(target)
        return tip is not None and self._clone.is_ancestor(commit, tip)

    def _rejected(self, summary: str, output: Output) -> bool:
        if _TOO_LATE.search(summary):
            return False
        raise _Forbidden(self._clone.remote_words(output) or _one_line(summary))


class _Forbidden(Exception):
    """The remote answered, and this branch is not ours to push to."""


def _stands(files: Files, path: str, new: NewFile | None) -> bool:
    if new is None:
        return files.kind(path) is None
    if files.kind(path) is not FileKind.FILE or files.executable(path) != new.executable:
        return False
    return files.read(path) == new.content


def _one_line(text: str) -> str:
    return " ".join(text.split())
